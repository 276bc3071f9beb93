// Examines, in the catalogs, the objects that a command has just created or changed under a grant.
//
// The command does not show whose function a default calls, whose view was replaced, or which index belongs to a
// constraint, but the catalog rows do.
#pragma once

#include <cstdint>

namespace jit::guard {

// Called by the object access hook after an object, or a column of a relation, was created or changed in a session that
// may use a grant. Needs a transaction. Throws `guarded`, which rolls the command back.
void check_created_object(std::uint32_t object_class, std::uint32_t object, int column);

}  // namespace jit::guard
