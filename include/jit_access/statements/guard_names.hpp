// Keeps names that begin with jit_ for the extension, so that no object captures a call of its functions.
//
// The server resolves `jit_revoke(1051)` as a function of any schema on the path whose argument types match better, or
// as a cast to a type of that name (func_get_detail() in src/backend/parser/parse_func.c). So functions, procedures,
// aggregates, window functions and types are reserved, in every schema of every database: whoever types a one-time code
// in the wrong database must not give it away either. The row type of a table or a composite type is never the target
// of such a cast, and operators, casts and tables have names of another kind.
#pragma once

#include <cstdint>

namespace jit::guard {

// After an object was created, or after it was renamed, moved or changed in another way: throws `guarded` if it is a
// function or a type with a reserved name and not the extension's own.
void check_reserved_name(std::uint32_t object_class, std::uint32_t object);

}  // namespace jit::guard
