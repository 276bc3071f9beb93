// Keeps names that begin with jit_ for the extension, so that no object captures a call of its functions.
//
// The server may resolve `jit_revoke(1051)` to a function with better matching argument types in any schema on the
// search path, or to a cast to a type of that name (func_get_detail() in src/backend/parser/parse_func.c). Therefore
// only the extension may have functions, procedures, aggregates, window functions and types with such names, in any
// schema of any database: a user who types a one-time code in the wrong database must not give the code away. Row types
// of tables and composite types are exempt, because they are never the target of such a cast. So are operators, casts
// and tables, because they are not called by such a name.
#pragma once

#include <cstdint>

namespace jit::guard {

// Called after an object was created, renamed, moved or changed in another way. Throws `guarded` if the object is a
// function or type with a reserved name and does not belong to the extension.
void check_reserved_name(std::uint32_t object_class, std::uint32_t object);

}  // namespace jit::guard
