// The owner of a single object, and the functions that its expressions call.
//
// REASSIGN OWNED changes the owner of everything that a role owns, or of nothing. Clean-up after a grant changes one
// object at a time, so that an object whose owner cannot be changed does not affect the others. Both functions need a
// transaction and throw server errors.
#pragma once

#include <cstdint>
#include <string>

#include "jit_access/pg/sql.hpp"

namespace jit::pg {

// Changes the owner of one object as REASSIGN OWNED does (shdepReassignOwned() in src/backend/catalog/pg_shdepend.c),
// with the rights of the current user. The owner of a table's indexes and sequences changes with that of the table.
// Default privileges and user mappings cannot change their owner; they are left alone.
void change_owner(RoleId object_class, RoleId object, RoleId new_owner);

// Whether an expression does nothing but compute a value: every function that it calls is immutable, and either built
// in, or written in C and owned by a superuser, as functions of extensions are. `node_tree` is a value of type
// pg_node_tree as text.
[[nodiscard]] bool computes_only(const std::string& node_tree);

}  // namespace jit::pg
