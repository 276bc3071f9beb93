// Terminates sessions that hold a lock that other sessions need.
//
// Some rows can be changed by only one transaction at a time: a request, a template, the memberships of a role. A
// session that leaves its transaction open must not delay emergency access, a change of policy, or the end of a grant.
// Each function here names the lock and the sessions that may be terminated for it, and returns how many were
// signalled. The caller waits for the lock again afterwards.
//
// All functions need a transaction. They throw the errors of the server.
#pragma once

#include <cstdint>

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/role.hpp"
#include "jit_access/pg/sql.hpp"

namespace jit::blocking_session {

// Repeats `attempt` until it returns a true value, and returns that value. If there is none within `patience`
// milliseconds, calls `end` and returns a false value; the caller then waits for the lock without a time limit of its
// own.
inline constexpr int default_patience = 100;
template <class Try, class End>
[[nodiscard]] auto wait_or_end(Try attempt, End end, int patience = default_patience) -> decltype(attempt()) {
    constexpr int step_ms = 10;
    for (int waited = 0; waited < patience; waited += step_ms) {
        if (auto result = attempt()) return result;
        pg::nap(step_ms);
    }
    end();
    return {};
}

// Terminates sessions that are idle in a transaction and have locked a template for its caps
// (jit_access.template_cap_lock).
std::uint64_t end_holders_of_caps(std::int64_t template_id);
// Terminates transactions that change memberships of a role, if they are idle or, unless they belong to a superuser,
// older than five seconds. Transactions that wait for a synchronous standby are not terminated, because they have
// committed.
std::uint64_t end_holders_of_memberships(pg::RoleId role);
// Terminates sessions that have locked a row in jit_access.template, except those of superusers and administrators of
// the extension.
std::uint64_t end_holders_of_templates(pg::RoleId admin_role);
// Terminates sessions that have locked the row of this request: those of its requester, those that are idle in a
// transaction, and those whose transaction is older than five seconds. Superusers are not excepted, because no session
// may keep a grant from ending. A session that has committed and waits for a synchronous standby is not terminated, but
// stops waiting.
std::uint64_t end_holders_of_request(std::int64_t request_id);
// Terminates transactions that hold the lock of pg::lock_access_list(), under the same conditions as
// end_holders_of_memberships().
std::uint64_t end_holders_of_access_list(const pg::AccessList& list);
// Terminates sessions that hold or wait for a lock on a whole table of the extension, as LOCK TABLE takes it, if their
// transaction is older than a second. Members of pg_write_all_data, and of pg_maintain from PostgreSQL 17 on, may lock
// every table. Superusers are excepted, because they maintain the tables.
std::uint64_t end_holders_of_tables();
// Terminates sessions that have locked rows in the tables that the alert rules write. Only the worker and its jobs need
// these locks.
std::uint64_t end_holders_of_alerts();

}  // namespace jit::blocking_session
