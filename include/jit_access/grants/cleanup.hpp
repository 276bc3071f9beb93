// Clean-up after a grant: its memberships, the objects created under it, and its temporary roles.
//
// Access is already refused when the clean-up begins, so a failed clean-up gives nobody access. The worker retries it
// until it succeeds, and jit_access.active_grants shows its state. Every function treats "already gone" as success,
// needs a transaction, and throws the error that prevents its work.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jit_access/pg/role.hpp"
#include "jit_access/pg/worker.hpp"

namespace jit::cleanup {

// The steps for a grant whose clean-up is due. The worker runs each in a transaction of its own, so that a failure in
// one step does not undo the earlier ones. Each step locks the row of the request.
//
// Step 1 revokes the memberships that carry the privileges and ends the sessions of a temporary login.
void revoke_grant_memberships(std::int64_t id);
// Step 2 gives the objects of its roles new owners (hand_over.hpp), in every database. Returns what is left to do, one
// line for each obstacle; empty when no object and no privilege of the roles is left.
[[nodiscard]] std::string hand_over_objects(std::int64_t id);
// Step 3, when nothing is left: drops the roles and marks the clean-up as done.
void drop_grant_roles(std::int64_t id);

// Step 2 for one role in the database of this process, which may be any database of the cluster. Writes what is left to
// do into the comment of the role, where the worker finds it.
void clean_this_database(pg::RoleId role, const pg::NewOwner& new_owner);

// Revokes one membership, in the name of each of its grantors. Throws if it still exists afterwards.
void revoke_membership(const std::string& role, const std::string& member);

// Revokes a temporary role from its members, and its own memberships except the one in jit_marker. Returns whether
// there was a membership to revoke.
bool revoke_all_memberships(pg::RoleId role, const std::string& name);

// Drops a temporary role that belongs to no request, together with its gate or login. Its objects are quarantined.
// Throws while something is left to do.
void drop_unclaimed_role(pg::RoleId role, const std::string& name);

// Drops the quarantine roles that no longer own anything, and returns their names.
[[nodiscard]] std::vector<std::string> drop_empty_quarantine_roles();

}  // namespace jit::cleanup
