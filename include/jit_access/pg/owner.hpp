// The owner of a single object, and the functions that its expressions call.
//
// REASSIGN OWNED changes the owner of everything that a role owns, or of nothing. Clean-up after a grant changes one
// object at a time, so that an object that cannot change its owner keeps no other from doing so. Both functions need a
// transaction and throw server errors.
#pragma once

#include <cstdint>
#include <string>

#include "jit_access/pg/sql.hpp"

namespace jit::pg {

// As REASSIGN OWNED does for one of its objects (shdepReassignOwned() in src/backend/catalog/pg_shdepend.c), as the
// current user. A table takes its indexes and sequences with it. Default privileges and user mappings belong to their
// role for good; they are left alone.
void change_owner(RoleId object_class, RoleId object, RoleId new_owner);

// Whether an expression computes only: every function that it calls is immutable and built in, or immutable, written in
// C and owned by a superuser, as those of extensions are. `node_tree`: a value of type pg_node_tree as text.
[[nodiscard]] bool computes_only(const std::string& node_tree);

}  // namespace jit::pg
