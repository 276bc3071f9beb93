// Clean-up after a grant: its memberships, the objects created under it, and its temporary roles.
//
// When the clean-up begins, access is refused already, so the clean-up may fail. The worker retries it until it
// succeeds, and jit_access.active_grants shows its state. Every function treats "already gone" as success, needs a
// transaction, and throws the error that prevents its work.
#pragma once

#include <cstdint>
#include <string>

#include "jit_access/pg/role.hpp"
#include "jit_access/pg/worker.hpp"

namespace jit::cleanup {

// The two steps for a grant whose clean-up is due. The worker runs each in a transaction of its own, so that a failure
// of the second does not undo the first. Both lock the row of the request.
//
// Step 1 revokes the memberships that carry the privileges and ends the sessions of a temporary login.
void revoke_grant_memberships(std::int64_t id);
// Step 2 reassigns the objects, drops the roles and marks the clean-up as done.
void drop_grant_roles(std::int64_t id);

// Reassigns the objects that `role` owns in the current database, which may be any database of the cluster, and revokes
// its privileges there. Throws if it owns an object that must not be reassigned.
void reassign(pg::RoleId role, const std::string& name, const pg::NewOwner& new_owner);

// Revokes one membership, by all its grantors. Throws if it still exists afterwards.
void revoke_membership(const std::string& role, const std::string& member);

// Revokes a temporary role from its members, and its own memberships except the one in jit_marker. Returns whether
// there was a membership to revoke.
bool revoke_all_memberships(pg::RoleId role, const std::string& name);

// Revokes the privileges of a role in this database, unless the role owns an object, which DROP OWNED would drop.
void revoke_privileges(pg::RoleId role, const std::string& name);

// Revokes a temporary role from its members and drops it. Throws when it owns something.
void drop_empty_role(pg::RoleId role, const std::string& name);

}  // namespace jit::cleanup
