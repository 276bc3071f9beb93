// Cleaning up after a grant: memberships, what was made under it, the temporary role. Access is refused already; this
// may fail and is retried for ever, with its state in jit_access.active_grants.
#pragma once

#include <cstdint>
#include <string>

#include "jit_access/pg/role.hpp"
#include "jit_access/pg/worker.hpp"

namespace jit::cleanup {

// Two steps, each an attempt in a transaction of its own, so that what hinders the second does not undo the first.
// "Already gone" is success. They throw what went wrong.
void revoke_grant_memberships(std::int64_t id);
void drop_grant_roles(std::int64_t id);

// In any database: what a temporary role owns there goes to its new_owner, its entries in access lists go away. Throws
// when it owns what the heir must not have.
void reassign(pg::RoleId role, const std::string& name, const pg::NewOwner& new_owner);

// Takes one membership away, whoever granted it; throws when it is still there afterwards.
void revoke_membership(const std::string& role, const std::string& member);

// Takes a temporary role from its members, and its own memberships but the marker. Whether there was anything to take.
bool revoke_all_memberships(pg::RoleId role, const std::string& name);

// Its entries in the access lists of this database go away, unless it owns something, which would go with them.
void revoke_privileges(pg::RoleId role, const std::string& name);

// Removes a temporary role that no request claims: its memberships, and the role, unless it owns something.
void drop_empty_role(pg::RoleId role, const std::string& name);

}  // namespace jit::cleanup
