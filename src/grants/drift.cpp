#include "jit_access/grants/drift.hpp"

#include <set>
#include <string>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/enforcement/effective_grants.hpp"
#include "jit_access/grants/cleanup.hpp"
#include "jit_access/grants/request.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/policy/template_closure.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::drift {

namespace {

using core::Event;
using core::State;

// Puts a difference on the record and counts it for sweep_and_wait().
void report(std::optional<std::int64_t> id, const control_event::Detail& detail) {
    control_event::write("drift", id, task::actor, detail);
    shared_state->sweeps.differences.fetch_add(1, std::memory_order_relaxed);
}

void revoke_and_report(std::optional<std::int64_t> id, const std::string& role, const std::string& member) {
    cleanup::revoke_membership(role, member);
    report(id, {{"role", role}, {"member", member}, {"what", "granted by hand; revoked"}});
}

// ---- the comparisons: each returns whether it found a difference -------------------------------------------------

// Roles of grants that belong to no request, for example because a dump of the roles was restored or the table of
// requests was replaced. NOT IN makes the planner use a hashed subplan, even when its statistics show few requests.
bool remove_unclaimed_roles() {
    const auto roles = task::query_ids_replanned(R"sql(
        WITH claimed AS (
            SELECT id, grant_role FROM jit_access.request
            WHERE state IN ('active', 'suspended') OR cleanup = 'due')
        SELECT a.oid::bigint
        FROM pg_catalog.pg_authid a
        WHERE (a.rolname ~ '^jit_(grant|gate|login)_[0-9]+$'
               OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m
                          JOIN pg_catalog.pg_authid k ON k.oid = m.roleid
                          WHERE m.member = a.oid AND k.rolname = 'jit_marker' AND NOT a.rolcanlogin))
          AND a.rolname !~ '^jit_quarantine_[0-9]+$'
          AND a.oid NOT IN (SELECT grant_role FROM claimed WHERE grant_role IS NOT NULL)
          AND coalesce(substring(a.rolname FROM '^jit_(?:gate|login)_([1-9][0-9]{0,17})$')::bigint, 0)
              NOT IN (SELECT id FROM claimed)
    )sql");
    for (const auto oid : roles) {
        const pg::RoleId role{static_cast<std::uint32_t>(oid)};
        // Two transactions are used, because the members must be removed even if objects that the role owns keep it
        // from being dropped.
        task::run_or_log("revoke the memberships of an unclaimed role", [&] {
            const auto name = pg::role_name(role);
            if (name && cleanup::revoke_all_memberships(role, *name))
                report({}, {{"role", *name}, {"what", "no request claims this role; its memberships were revoked"}});
        });
        task::run_or_log("drop an unclaimed role", [&] {
            const auto name = pg::role_name(role);
            if (!name) return;
            cleanup::drop_unclaimed_role(role, *name);
            report({}, {{"role", *name}, {"what", "no request claims this role; removed"}});
        });
    }
    return !roles.empty();
}

// Quarantine roles have no members and no membership except in the marker, and exist only while they own objects.
bool tidy_quarantine() {
    bool found = false;
    task::run_or_log("drop empty quarantine roles", [&] {
        for (const auto& name : cleanup::drop_empty_quarantine_roles())
            control_event::write("cleaned up", {}, task::actor, {{"role", name}});
    });
    task::run_or_log("revoke memberships of quarantine roles", [&] {
        for (const auto& row : pg::query_replanned(R"sql(
                 SELECT DISTINCT a.oid, a.rolname::text
                 FROM pg_catalog.pg_authid a
                 JOIN pg_catalog.pg_auth_members m ON a.oid IN (m.roleid, m.member)
                 WHERE a.rolname ~ '^jit_quarantine_[0-9]+$'
                   AND m.roleid NOT IN (SELECT k.oid FROM pg_catalog.pg_authid k WHERE k.rolname = 'jit_marker')
             )sql")) {
            found = true;
            cleanup::revoke_all_memberships(row.get<pg::RoleId>(0), row.get<std::string>(1));
            report({}, {{"role", row.get<std::string>(1)}, {"what", "memberships granted by hand; revoked"}});
        }
    });
    return found;
}

// Removes settings that choose the role of an ended grant, because each later login would get a warning that the role
// does not exist. Settings that choose the role of a grant that has not begun are kept.
void remove_stale_settings() {
    task::run_or_log("remove settings that choose the role of an ended grant", [] {
        for (const auto& row : pg::query_replanned(R"sql(
                 WITH setting AS (
                     SELECT s.setdatabase, s.setrole, c.value, substring(c.value FROM 6) AS role
                     FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) c (value)
                     WHERE c.value ~ '^role=jit_(grant|gate|login)_[1-9][0-9]{0,17}$')
                 SELECT CASE
                        WHEN s.setrole <> 0 THEN format('ALTER ROLE %I ', u.rolname)
                                                 || CASE WHEN s.setdatabase <> 0 THEN format('IN DATABASE %I ', d.datname)
                                                    ELSE '' END
                        WHEN s.setdatabase <> 0 THEN format('ALTER DATABASE %I ', d.datname)
                        ELSE 'ALTER ROLE ALL '
                        END,
                        s.role
                 FROM setting s
                 LEFT JOIN pg_catalog.pg_authid u ON u.oid = s.setrole
                 LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
                 WHERE (s.setrole = 0 OR u.oid IS NOT NULL) AND (s.setdatabase = 0 OR d.oid IS NOT NULL)
                   AND NOT EXISTS (SELECT FROM pg_catalog.pg_authid a WHERE a.rolname = s.role)
                   AND NOT EXISTS (SELECT FROM jit_access.request r
                                   WHERE r.id = substring(s.role FROM '[0-9]+$')::bigint
                                     AND r.state IN ('pending', 'scheduled', 'active', 'suspended'))
             )sql")) {
            pg::command(row.get<std::string>(0) + "RESET role");
            control_event::write(
                "cleaned up", {}, task::actor,
                {{"setting", row.get<std::string>(0) + "SET role = '" + row.get<std::string>(1) + "'"}});
        }
    });
}

// The group roles and the marker can be dropped or changed while the library is not loaded. Without the marker no grant
// can begin. A user who creates a missing group role would decide who its members are. If one of these roles was given
// attributes or memberships, all its members could use them.
bool restore_group_roles() {
    bool found = false;
    task::run_or_log("restore the group roles", [&] {
        for (const auto& row : pg::query_replanned(R"sql(
                 SELECT n.name,
                        a.oid IS NULL,
                        coalesce(a.rolsuper OR a.rolcanlogin OR a.rolcreaterole OR a.rolcreatedb OR a.rolreplication
                                 OR a.rolbypassrls, false),
                        EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = a.oid)
                 FROM (VALUES ('jit_admin'), ('jit_auditor'), ('jit_monitor'), ('jit_marker')) n (name)
                 LEFT JOIN pg_catalog.pg_authid a ON a.rolname = n.name
             )sql")) {
            const auto& name = row.get<std::string>(0);
            const bool is_missing = row.get<bool>(1);
            const bool has_attributes = row.get<bool>(2);
            const bool has_memberships = row.get<bool>(3) && name == core::marker_role;
            if (!is_missing && !has_attributes && !has_memberships) continue;
            found = true;
            if (is_missing) pg::command("CREATE ROLE " + pg::quote(name) + " NOLOGIN");
            if (has_attributes)
                pg::command("ALTER ROLE " + pg::quote(name) +
                            " NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS");
            if (has_memberships)
                for (const auto parent : pg::memberships(pg::find_role(name).value()))
                    cleanup::revoke_membership(pg::role_name(parent).value(), name);
            report({}, {{"role", name},
                        {"what", is_missing       ? "it was missing; created again, without members and privileges"
                                 : has_attributes ? "had attributes; taken away"
                                                  : "was a member of other roles; revoked"}});
        }
    });
    return found;
}

// If the marker was granted directly to a login, every statement of that user would be refused. The login does not
// belong to the extension, so it is not dropped.
bool revoke_marker_from_logins() {
    bool found = false;
    task::run_or_log("revoke jit_marker from logins", [&] {
        for (const auto& row : pg::query_replanned(R"sql(
                 SELECT m.rolname::text
                 FROM pg_catalog.pg_auth_members x
                 JOIN pg_catalog.pg_authid k ON k.oid = x.roleid
                 JOIN pg_catalog.pg_authid m ON m.oid = x.member
                 WHERE k.rolname = 'jit_marker' AND m.rolcanlogin AND m.rolname !~ '^jit_(grant|gate)_[0-9]+$'
             )sql")) {
            found = true;
            revoke_and_report(std::nullopt, std::string(core::marker_role), row.get<std::string>(0));
        }
    });
    return found;
}

// Memberships around a live grant that were granted by hand, as s (id, roleid, member): members of the grant's role
// other than the requester, memberships of the grant's role other than the template's role and the marker, and the same
// for the gate or login. Each branch of the union finds the memberships by one column. A single condition on both would
// make the server compare every grant with every membership.
constexpr const char* from_foreign_memberships = R"sql(
    FROM (
        WITH helper AS (
            SELECT r.id, r.requester, r.grant_role, a.oid AS role, n.login
            FROM jit_access.request r
            CROSS JOIN LATERAL (VALUES (('jit_gate_' || r.id)::name, false),
                                       (('jit_login_' || r.id)::name, true)) n (name, login)
            JOIN pg_catalog.pg_authid a ON a.rolname = n.name
            WHERE r.state IN ('active', 'suspended'))
        SELECT r.id, m.roleid, m.member
        FROM jit_access.request r
        JOIN jit_access.template t ON t.id = r.template_id
        JOIN pg_catalog.pg_auth_members m ON m.roleid = r.grant_role
        WHERE r.state IN ('active', 'suspended')
          AND (m.member <> r.requester OR t.mode = 'login')
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_authid g
                          WHERE g.oid = m.member AND g.rolname IN ('jit_gate_' || r.id, 'jit_login_' || r.id))
        UNION ALL
        SELECT r.id, m.roleid, m.member
        FROM jit_access.request r
        JOIN jit_access.template t ON t.id = r.template_id
        JOIN pg_catalog.pg_auth_members m ON m.member = r.grant_role
        WHERE r.state IN ('active', 'suspended')
          AND m.roleid NOT IN (t.role, (SELECT oid FROM pg_catalog.pg_authid WHERE rolname = 'jit_marker'))
        UNION ALL
        SELECT h.id, m.roleid, m.member
        FROM helper h
        JOIN pg_catalog.pg_auth_members m ON m.roleid = h.role
        WHERE h.login OR m.member <> h.requester
        UNION ALL
        SELECT h.id, m.roleid, m.member
        FROM helper h
        JOIN pg_catalog.pg_auth_members m ON m.member = h.role
        WHERE m.roleid <> h.grant_role) s
)sql";

bool revoke_foreign_memberships() {
    static const std::string grants_sql = std::string("SELECT DISTINCT id") + from_foreign_memberships;
    static const std::string memberships_sql =
        std::string("SELECT g.rolname::text, m.rolname::text") + from_foreign_memberships + R"sql(
        JOIN pg_catalog.pg_authid g ON g.oid = s.roleid
        JOIN pg_catalog.pg_authid m ON m.oid = s.member
        WHERE s.id = )sql";
    const auto grants = task::query_ids_replanned(grants_sql.c_str());
    for (const auto id : grants)
        task::run_or_log("revoke memberships granted by hand around grant " + std::to_string(id), [&] {
            for (const auto& row : pg::query_replanned((memberships_sql + std::to_string(id)).c_str()))
                revoke_and_report(id, row.get<std::string>(0), row.get<std::string>(1));
        });
    return !grants.empty();
}

// Only the roles of grants may be members of a role that jit_create_template made. An adopted role may have other
// members: those that it had before, and those that a superuser or a holder of its ADMIN OPTION added. Before
// PostgreSQL 16, every holder of CREATEROLE could add members.
bool revoke_template_role_from_others() {
    bool found = false;
    task::run_or_log("revoke template roles from standing members", [&] {
        for (const auto& row : pg::query_replanned(R"sql(
                 SELECT t.role_name, m.rolname::text
                 FROM jit_access.template t
                 JOIN pg_catalog.pg_auth_members x ON x.roleid = t.role
                 JOIN pg_catalog.pg_authid m ON m.oid = x.member
                 WHERE t.dropped_at IS NULL
                   AND NOT EXISTS (SELECT FROM jit_access.request r WHERE r.grant_role = x.member)
                   AND (t.role_created
                        OR x.member <> ALL (t.standing_members)
                           AND EXISTS (SELECT
                                       FROM pg_catalog.pg_authid g
                                       WHERE g.oid = x.grantor AND NOT g.rolsuper
                                         AND NOT pg_catalog.pg_has_role(g.oid, t.role, 'MEMBER WITH ADMIN OPTION')))
             )sql")) {
            found = true;
            revoke_and_report(std::nullopt, row.get<std::string>(0), row.get<std::string>(1));
        }
    });
    return found;
}

// A live grant whose own membership was revoked by hand no longer gives access. A grant whose role is not a member of
// the marker would still give access, but backends would not recognize its role. Grants of both kinds are ended.
bool end_broken_grants() {
    const auto grants = task::query_ids_replanned(R"sql(
        SELECT r.id
        FROM jit_access.request r
        WHERE r.state IN ('active', 'suspended')
          AND (NOT EXISTS (
                   SELECT FROM pg_catalog.pg_auth_members m
                   JOIN pg_catalog.pg_authid a ON a.oid = m.roleid
                   WHERE m.member = r.requester AND (m.roleid = r.grant_role OR a.rolname = 'jit_gate_' || r.id)
                      OR m.roleid = r.grant_role
                         AND m.member = (SELECT oid FROM pg_catalog.pg_authid WHERE rolname = 'jit_login_' || r.id))
               OR NOT EXISTS (
                   SELECT FROM pg_catalog.pg_auth_members m
                   JOIN pg_catalog.pg_authid a ON a.oid = m.roleid
                   WHERE m.member = r.grant_role AND a.rolname = 'jit_marker'))
    )sql");
    for (const auto id : grants)
        task::run_or_log("end grant " + std::to_string(id), [&] {
            auto request = request::lock(id);
            if (!core::next(request.state, Event::revoke)) return;
            report(id, {{"what", "its membership was revoked by hand"}});
            request::advance(request, Event::revoke, task::actor, "its membership was revoked by hand");
            commit_actions::finish(static_cast<std::uint64_t>(id));
        });
    return !grants.empty();
}

// ---- templates ---------------------------------------------------------------------------------------------------

// Returns why the closure of the template's role is refused; nothing if it is not refused or could not be checked.
std::optional<std::string> closure_fault(std::int64_t template_id) {
    std::optional<std::string> fault;
    task::run_or_log("check the closure of a template", [&] {
        try {
            templates::check_closure(templates::lock(template_id));
        } catch (const core::Failure& failure) {
            fault = failure.detail;
        }
    });
    return fault;
}

// The role of a template may have gained privileges that the template may not give. The grants of such a template are
// suspended until an approver resumes or revokes them.
void suspend_grants_of_refused_templates() {
    for (const auto template_id :
         task::query_ids("SELECT DISTINCT template_id FROM jit_access.request WHERE state = 'active'")) {
        const auto fault = closure_fault(template_id);
        if (!fault) continue;
        for (const auto id : task::query_ids(
                 "SELECT id FROM jit_access.request WHERE state = 'active' AND template_id = $1", {template_id}))
            task::run_or_log("suspend grant " + std::to_string(id), [&] {
                auto request = request::lock(id);
                if (request.state != State::active) return;
                report(id, {{"what", fault}});
                request::advance(request, Event::suspend, task::actor,
                                 "its template reaches more than a template may give");
                commit_actions::finish(static_cast<std::uint64_t>(id));
            });
    }
}

// ---- names ------------------------------------------------------------------------------------------------------

// Functions and types with a reserved name, which could capture calls of the extension's functions. They were created
// while the library was not loaded. Their owners may need them, so they are not dropped; the worker process reports
// each of them once.
void report_captured_names() {
    static std::set<std::string> reported;
    task::run_or_log("look for names that capture calls", [&] {
        for (const auto& row : pg::query("SELECT pg_catalog.unnest(captured_names) FROM jit_access.health"))
            if (const auto name = row.get<std::string>(0); reported.insert(name).second)
                report({}, {{"object", name},
                            {"what", "its name begins with \"jit_\", so it could capture calls of jit_access"}});
    });
}

// ---- the sweep ---------------------------------------------------------------------------------------------------

enum class Extent { if_changed, complete };

void sweep(Extent extent) {
    // Invalidation messages announce changes of roles and memberships, but not changes of our own tables by a
    // superuser. Those are found by the sweep that runs once in this interval.
    constexpr std::int64_t max_interval = 60 * core::us_per_second;
    static std::uint64_t swept_changes = enforcement::no_generation;
    static std::int64_t last_sweep = 0;
    const auto changes = enforcement::membership_generation();
    const auto now = pg::boot_clock();
    if (extent == Extent::complete || changes != swept_changes || now - last_sweep >= max_interval) {
        const auto failures_before = task::failure_count();
        bool found = restore_group_roles();
        found |= remove_unclaimed_roles();
        found |= tidy_quarantine();
        found |= revoke_marker_from_logins();
        found |= revoke_foreign_memberships();
        found |= revoke_template_role_from_others();
        found |= end_broken_grants();
        remove_stale_settings();
        report_captured_names();
        // If a difference was found, or a repair failed, the next call compares again.
        swept_changes = found || task::failure_count() != failures_before ? enforcement::no_generation : changes;
        last_sweep = now;
    }
    suspend_grants_of_refused_templates();
}

}  // namespace

void sweep() { sweep(Extent::if_changed); }

void sweep_if_requested() {
    const auto requested = shared_state->sweeps.requested.load();
    if (requested == shared_state->sweeps.completed.load()) return;
    templates::forget_closures();
    sweep(Extent::complete);
    shared_state->sweeps.completed.store(requested);
}

std::uint64_t sweep_and_wait() {
    constexpr std::int64_t timeout = 60 * core::us_per_second;
    constexpr int poll_interval_ms = 20;
    auto& sweeps = shared_state->sweeps;
    const auto differences_before = sweeps.differences.load();
    const auto own_request = sweeps.requested.fetch_add(1) + 1;
    const auto give_up_at = pg::boot_clock() + timeout;
    wake_worker();
    while (sweeps.completed.load() < own_request) {
        if (pg::boot_clock() > give_up_at)
            throw core::Failure(core::Code::wrong_state, "no sweep has been made",
                                "The worker has not answered for a minute.",
                                "Look at worker_pid and worker_loops in jit_access.health, and at the server log.");
        pg::nap(poll_interval_ms);
    }
    return sweeps.differences.load() - differences_before;
}

}  // namespace jit::drift
