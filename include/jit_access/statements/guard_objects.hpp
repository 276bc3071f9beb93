// What a command has just created or changed under a grant, as the catalogs have it.
//
// The command guards see only the command. They do not see whose function a default calls, whose view was replaced, or
// which index stands behind a constraint; this check does.
#pragma once

#include <cstdint>

namespace jit::guard {

// An object, or a column of a relation, was created or changed in a session that may use a grant. Throws `guarded`.
void check_made(std::uint32_t object_class, std::uint32_t object, int column);

}  // namespace jit::guard
