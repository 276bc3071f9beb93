#include "jit_access/turn.hpp"

namespace jit::turn {

namespace {

// Whoever has locked or changed the row is in it, by the number of his transaction.
constexpr const char* end_who_keeps_template =
    "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM jit_access.template_turn t JOIN pg_catalog.pg_locks l ON "
    "l.locktype = 'transactionid' AND l.granted AND l.transactionid = t.xmax JOIN pg_catalog.pg_stat_activity a ON "
    "a.pid = l.pid WHERE t.template_id = $1 AND a.pid <> pg_catalog.pg_backend_pid() AND a.state LIKE 'idle in "
    "transaction%'";

// Who is busy with something else in that transaction is in the way as well; who waits for a standby has done his part.
constexpr const char* end_who_keeps_memberships =
    "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON "
    "a.pid = l.pid LEFT JOIN pg_catalog.pg_roles u ON u.oid = a.usesysid WHERE l.locktype = 'object' AND l.granted AND "
    "l.database = 0 AND l.classid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND l.objid = $1 AND l.mode IN "
    "('ShareUpdateExclusiveLock', 'AccessExclusiveLock') AND a.backend_type = 'client backend' AND a.pid <> "
    "pg_catalog.pg_backend_pid() AND (a.state LIKE 'idle in transaction%' OR NOT u.rolsuper AND a.xact_start < "
    "pg_catalog.clock_timestamp() - interval '5 seconds' AND a.wait_event IS DISTINCT FROM 'SyncRep')";

}  // namespace

bool has_caps(const templates::Template& of) {
    return of.cool_down || of.person_at_once != 0 || of.person_per_day != 0 || of.template_at_once != 0 ||
           of.template_per_day != 0 || of.break_glass_per_day != 0;
}

void take_for_caps(const templates::Template& of) {
    if (!has_caps(of)) return;
    const auto is_free = [&] {
        return pg::query_row("SELECT 1 FROM jit_access.template_turn WHERE template_id = $1 FOR UPDATE SKIP LOCKED",
                             {of.id})
            .has_value();
    };
    (void)wait_or_end(is_free, [&] { pg::query(end_who_keeps_template, {of.id}); });
    // An update, so that who looks through an older snapshot fails instead of missing a grant.
    pg::execute("UPDATE jit_access.template_turn SET turn = turn + 1 WHERE template_id = $1", {of.id});
}

void take_for_memberships(pg::RoleId in) {
    constexpr int longer_ms = 1000;
    if (!pg::lock_memberships_in(in, longer_ms)) pg::query(end_who_keeps_memberships, {in});
}

}  // namespace jit::turn
