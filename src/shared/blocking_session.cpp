#include "jit_access/shared/blocking_session.hpp"

#include <string>

namespace jit::blocking_session {

namespace {

// A session that has locked or changed a row holds one of these locks on the table.
constexpr const char* row_lock = R"sql(
    l.locktype = 'relation' AND l.database = a.datid AND l.mode = 'RowShareLock'
    AND l.relation = )sql";

// The session is idle in a transaction, or its transaction is so old that something else delays it. With SyncRep it has
// committed already and waits for a standby.
constexpr const char* is_stuck = R"sql(
    (a.state LIKE 'idle in transaction%'
     OR NOT u.rolsuper
        AND a.xact_start < pg_catalog.clock_timestamp() - interval '5 seconds'
        AND a.wait_event IS DISTINCT FROM 'SyncRep'))sql";

// Terminates every session that holds a lock and satisfies a condition. Both conditions may refer to the session `a` of
// pg_stat_activity, its login `u` of pg_roles and $1; the one on the lock also to `l` of pg_locks.
std::uint64_t end_sessions(const std::string& lock, const std::string& session,
                           std::initializer_list<pg::Argument> args) {
    const std::string sql = R"sql(
        SELECT pg_catalog.pg_terminate_backend(a.pid)
        FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles u ON u.oid = a.usesysid
        WHERE a.pid <> pg_catalog.pg_backend_pid()
          AND EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND l.granted AND )sql" +
                            lock + ") AND " + session;
    return pg::query(sql.c_str(), args).size();
}

}  // namespace

std::uint64_t end_holders_of_caps(std::int64_t template_id) {
    // xmax of the row names the transaction that has locked or changed it (access/htup_details.h).
    return end_sessions(R"sql(
        l.locktype = 'transactionid'
        AND l.transactionid = (SELECT t.xmax FROM jit_access.template_cap_lock t WHERE t.template_id = $1))sql",
                        "a.state LIKE 'idle in transaction%'", {template_id});
}

std::uint64_t end_holders_of_memberships(pg::RoleId role) {
    return end_sessions(R"sql(
        l.locktype = 'object' AND l.database = 0 AND l.objid = $1
        AND l.classid = 'pg_catalog.pg_authid'::pg_catalog.regclass
        AND l.mode IN ('ShareUpdateExclusiveLock', 'AccessExclusiveLock'))sql",
                        std::string("a.backend_type = 'client backend' AND ") + is_stuck, {role});
}

std::uint64_t end_holders_of_templates(pg::RoleId admin_role) {
    return end_sessions(std::string(row_lock) + "'jit_access.template'::pg_catalog.regclass",
                        "NOT u.rolsuper AND NOT pg_catalog.pg_has_role(u.oid, $1, 'MEMBER')", {admin_role});
}

std::uint64_t end_requester(std::int64_t request_id) {
    return end_sessions(std::string(row_lock) + "'jit_access.request'::pg_catalog.regclass",
                        "a.usesysid = (SELECT requester FROM jit_access.request WHERE id = $1)", {request_id});
}

std::uint64_t end_holders_of_grants_over_by(pg::Instant moment) {
    return end_sessions(std::string(row_lock) + "'jit_access.request'::pg_catalog.regclass", R"sql(
        EXISTS (SELECT FROM jit_access.request
                WHERE requester = a.usesysid AND state IN ('active', 'suspended') AND ends_at <= $1))sql",
                        {moment});
}

std::uint64_t end_holders_of_alerts() {
    return end_sessions(R"sql(
        l.locktype = 'relation' AND l.database = a.datid AND l.mode IN ('RowShareLock', 'RowExclusiveLock')
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
