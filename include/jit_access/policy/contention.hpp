// Locks that serialize the work of transactions on grants, and the termination of sessions that hold them too long.
//
// Some data is changed by one transaction at a time: the usage that the caps of a template limit, and the memberships
// of a role. A session that leaves its transaction open must not delay other users' access, emergency access, or the
// end of a grant. Each function here waits a short time for the lock, then terminates the blocking sessions that
// shared/blocking_session.hpp permits, and then waits without a limit.
//
// All locks are held until the transaction ends. Lock order within a transaction: row of jit_access.request, row of
// jit_access.template (FOR SHARE), row of jit_access.template_cap_lock, memberships of jit_marker, memberships of the
// template's role, access lists in the order of their OIDs.
#pragma once

#include "jit_access/policy/template.hpp"

namespace jit::contention {

// Returns true if the template limits how many grants a person or the template may have.
[[nodiscard]] bool has_caps(const templates::Template& tmpl);
// Serializes transactions that create grants of a template with caps. Call before the usage is counted. Does nothing
// for a template without caps.
void lock_for_caps(const templates::Template& tmpl);

// Call before memberships of `role` are granted or revoked. From PostgreSQL 16 on, one transaction at a time can change
// the memberships of a role, and every grant adds a member to its template's role and to jit_marker.
void lock_for_memberships(pg::RoleId role);

// Call before the access lists of these relations and of their schemas are changed. Two changes of one list collide
// ("tuple concurrently updated"), and GRANT takes no lock that would prevent it. Relations that do not exist are left
// out.
void lock_for_access_lists(const pg::TextArray& relations);

}  // namespace jit::contention
