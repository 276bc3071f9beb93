#include "jit_access/shared/blocking_session.hpp"

#include <string>

#include "jit_access/pg/row_lock.hpp"

namespace jit::blocking_session {

namespace {

// A session that has locked rows of the table, for example by SELECT FOR UPDATE, holds this lock. The table must be
// appended.
constexpr const char* row_lock = R"sql(
    l.granted AND l.locktype = 'relation' AND l.database = a.datid AND l.mode = 'RowShareLock'
    AND l.relation = )sql";

// The lock of a transaction on its own id. The ids must be appended.
constexpr const char* locker = "l.granted AND l.locktype = 'transactionid' AND l.transactionid::text = ";

// The transactions that have locked or changed a row. `row` is the result of SELECT tableoid, ctid::text.
pg::TextArray lockers_of(const pg::Row& row) { return pg::lockers_of(row.get<pg::RoleId>(0), row.get<std::string>(1)); }

// The session is idle in a transaction, or its transaction is so old that something else must be delaying it. A session
// that waits on SyncRep has committed already and waits for a standby.
constexpr const char* is_stuck = R"sql(
    (a.state LIKE 'idle in transaction%'
     OR NOT u.rolsuper
        AND a.xact_start < pg_catalog.clock_timestamp() - interval '5 seconds'
        AND a.wait_event IS DISTINCT FROM 'SyncRep'))sql";

// Ends every session that satisfies the condition `session` and has a lock that satisfies the condition `lock`. Both
// may refer to $1, to the session's row `a` of pg_stat_activity, and to its login's row `u` of pg_roles; `lock` may
// also refer to the lock's row `l` of pg_locks.
std::uint64_t end_sessions(const std::string& lock, const std::string& session,
                           std::initializer_list<pg::Argument> args) {
    // A session that waits for a standby has committed. If it is cancelled, it stops waiting, and its client is told
    // that the standby may not have the commit.
    const std::string sql = R"sql(
        SELECT CASE WHEN a.wait_event = 'SyncRep' THEN pg_catalog.pg_cancel_backend(a.pid)
                    ELSE pg_catalog.pg_terminate_backend(a.pid) END
        FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles u ON u.oid = a.usesysid
        WHERE a.pid <> pg_catalog.pg_backend_pid()
          AND EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND )sql" +
                            lock + ") AND " + session;
    return pg::query(sql.c_str(), args).size();
}

}  // namespace

std::uint64_t end_holders_of_caps(std::int64_t template_id) {
    const auto row = pg::query_row(
        "SELECT tableoid, ctid::text FROM jit_access.template_cap_lock WHERE template_id = $1", {template_id});
    if (!row) return 0;
    return end_sessions(std::string(locker) + "ANY ($1)", "a.state LIKE 'idle in transaction%'", {lockers_of(*row)});
}

std::uint64_t end_holders_of_memberships(pg::RoleId role) {
    return end_sessions(R"sql(
        l.granted AND l.locktype = 'object' AND l.database = 0 AND l.objid = $1
        AND l.classid = 'pg_catalog.pg_authid'::pg_catalog.regclass
        AND l.mode IN ('ShareUpdateExclusiveLock', 'AccessExclusiveLock'))sql",
                        std::string("a.backend_type = 'client backend' AND ") + is_stuck, {role});
}

std::uint64_t end_holders_of_templates(pg::RoleId admin_role) {
    return end_sessions(std::string(row_lock) + "'jit_access.template'::pg_catalog.regclass",
                        "NOT u.rolsuper AND NOT pg_catalog.pg_has_role(u.oid, $1, 'MEMBER')", {admin_role});
}

std::uint64_t end_holders_of_request(std::int64_t request_id) {
    const auto row = pg::query_row("SELECT tableoid, ctid::text FROM jit_access.request WHERE id = $1", {request_id});
    if (!row) return 0;
    // The requester is the holder of the grant and must never delay its end.
    return end_sessions(std::string(locker) + "ANY ($2)", R"sql(
        (a.usesysid = (SELECT requester FROM jit_access.request WHERE id = $1)
         OR a.state LIKE 'idle in transaction%'
            AND a.state_change < pg_catalog.clock_timestamp() - interval '200 milliseconds'
         OR a.wait_event = 'SyncRep'
         OR a.xact_start < pg_catalog.clock_timestamp() - interval '5 seconds'))sql",
                        {request_id, lockers_of(*row)});
}

std::uint64_t end_holders_of_access_list(const pg::AccessList& list) {
    return end_sessions(R"sql(
        l.granted AND l.locktype = 'object' AND l.database = a.datid AND l.classid = $1 AND l.objid = $2 AND l.objsubid = 1)sql",
                        std::string("a.backend_type = 'client backend' AND ") + is_stuck,
                        {pg::RoleId{list.catalog}, pg::RoleId{list.object}});
}

std::uint64_t end_holders_of_tables() {
    // Statements on rows take weaker locks than those listed here. A session that waits for a listed lock also blocks
    // others that need the table.
    return end_sessions(R"sql(
        l.locktype = 'relation' AND l.database = a.datid
        AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                       'AccessExclusiveLock')
        AND l.relation IN (SELECT c.oid FROM pg_catalog.pg_class c
                           WHERE c.relnamespace = 'jit_access'::pg_catalog.regnamespace))sql",
                        R"sql(
        a.backend_type = 'client backend' AND NOT u.rolsuper
        AND a.xact_start < pg_catalog.clock_timestamp() - interval '1 second')sql",
                        {});
}

std::uint64_t end_holders_of_alerts() {
    return end_sessions(R"sql(
        l.granted AND l.locktype = 'relation' AND l.database = a.datid
        AND l.mode IN ('RowShareLock', 'RowExclusiveLock')
        AND l.relation IN ('jit_access.alert'::pg_catalog.regclass, 'jit_access.occurrence'::pg_catalog.regclass,
                           'jit_access.baseline'::pg_catalog.regclass, 'jit_access.grant_volume'::pg_catalog.regclass))sql",
                        R"sql(
        a.backend_type = 'client backend'
        AND (a.state LIKE 'idle in transaction%'
             AND a.state_change < pg_catalog.clock_timestamp() - interval '100 milliseconds'
             OR NOT u.rolsuper
                AND a.xact_start < pg_catalog.clock_timestamp() - interval '5 seconds'
                AND a.wait_event IS DISTINCT FROM 'SyncRep'))sql",
                        {});
}

}  // namespace jit::blocking_session
