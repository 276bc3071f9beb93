#include "jit_access/grants/drift.hpp"
#include "jit_access/policy/template_closure.hpp"
#include "jit_access/policy/template_privileges.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/enforcement/effective_grants.hpp"
#include "jit_access/grants/cleanup.hpp"
#include "jit_access/grants/request.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::drift {

namespace {

using core::Event;
using core::State;

// Counted as well, so that whoever has asked for a sweep hears how much there was.
void note(std::optional<std::int64_t> id, const control_event::Detail& detail) {
    control_event::write("drift", id, task::actor, detail);
    shared_state->sweeps.differences.fetch_add(1, std::memory_order_relaxed);
}

void take_back(std::optional<std::int64_t> id, const std::string& role, const std::string& member) {
    cleanup::revoke_membership(role, member);
    note(id, {{"role", role}, {"member", member}, {"what", "granted by hand; revoked"}});
}

// Each of these answers whether it found something.

// Roles of grants that no request claims: a dump of the roles restored here, a request table that was replaced. NOT IN
// is looked up in a hash, however few requests the server's statistics know of.
bool remove_orphans() {
    const auto orphans = task::query_ids_replanned(
        "WITH claimed AS (SELECT id, grant_role FROM jit_access.request WHERE state IN ('active', 'suspended') OR "
        "cleanup = 'due') "
        "SELECT a.oid::bigint FROM pg_catalog.pg_authid a WHERE (a.rolname ~ '^jit_(grant|gate|login)_[0-9]+$' OR "
        "EXISTS "
        "(SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_authid k ON k.oid = m.roleid WHERE m.member = "
        "a.oid AND k.rolname = 'jit_marker' AND NOT a.rolcanlogin)) "
        "AND a.oid NOT IN (SELECT grant_role FROM claimed WHERE grant_role IS NOT NULL) "
        "AND coalesce(substring(a.rolname FROM '^jit_(?:gate|login)_([1-9][0-9]{0,17})$')::bigint, 0) NOT IN (SELECT "
        "id FROM claimed)");
    for (const auto oid : orphans) {
        const pg::RoleId role{static_cast<std::uint32_t>(oid)};
        // In two steps: what it owns may keep the role, and keeps nobody's membership.
        task::run_or_log("take away the role of a grant that nobody knows", [&] {
            const auto name = pg::role_name(role);
            if (name && cleanup::revoke_all_memberships(role, *name))
                note({}, {{"role", *name}, {"what", "no request claims this role; its memberships were revoked"}});
        });
        task::run_or_log("remove the role of a grant that nobody knows", [&] {
            const auto name = pg::role_name(role);
            if (!name) return;
            cleanup::revoke_privileges(role, *name);
            cleanup::drop_empty_role(role, *name);
            note({}, {{"role", *name}, {"what", "no request claims this role; removed"}});
        });
    }
    return !orphans.empty();
}

// The marker itself, given to somebody who can log in: it refuses him everything, and he is no role to remove.
bool take_marker_from_people() {
    bool found = false;
    task::run_or_log("take the marker from people", [&] {
        for (const auto& row : pg::query_replanned(
                 "SELECT m.rolname::text FROM pg_catalog.pg_auth_members x JOIN pg_catalog.pg_authid k ON k.oid = "
                 "x.roleid JOIN pg_catalog.pg_authid m ON m.oid = x.member WHERE k.rolname = 'jit_marker' AND "
                 "m.rolcanlogin AND m.rolname !~ '^jit_(grant|gate)_[0-9]+$'")) {
            found = true;
            take_back(std::nullopt, std::string(core::marker_role), row.get<std::string>(0));
        }
    });
    return found;
}

// What was granted by hand around a live grant: members it was not given to, roles it was not given; and the same
// around the gate or login that stands before it. In halves, each of which finds the memberships by one column: asked
// for both at once, the server compares every grant with every membership.
const std::string strange_memberships =
    "(WITH helper AS (SELECT r.id, r.requester, r.grant_role, a.oid AS role, n.login FROM jit_access.request r CROSS "
    "JOIN LATERAL (VALUES (('jit_gate_' || r.id)::name, false), (('jit_login_' || r.id)::name, true)) n (name, login) "
    "JOIN pg_catalog.pg_authid a ON a.rolname = n.name WHERE r.state IN ('active', 'suspended')) SELECT r.id, "
    "m.roleid, m.member FROM jit_access.request r JOIN jit_access.template t ON t.id = r.template_id JOIN "
    "pg_catalog.pg_auth_members m ON m.roleid = r.grant_role WHERE r.state IN ('active', 'suspended') AND "
    "(m.member <> r.requester OR t.mode = 'login') AND NOT EXISTS (SELECT FROM pg_catalog.pg_authid g WHERE g.oid = "
    "m.member AND g.rolname IN ('jit_gate_' || r.id, 'jit_login_' || r.id)) UNION ALL "
    "SELECT r.id, m.roleid, m.member FROM jit_access.request r JOIN jit_access.template t ON t.id = r.template_id "
    "JOIN pg_catalog.pg_auth_members m ON m.member = r.grant_role WHERE r.state IN ('active', 'suspended') AND "
    "m.roleid NOT IN (t.role, (SELECT oid FROM pg_catalog.pg_authid WHERE rolname = 'jit_marker')) UNION ALL "
    "SELECT h.id, m.roleid, m.member FROM helper h JOIN pg_catalog.pg_auth_members m ON m.roleid = h.role WHERE "
    "h.login "
    "OR m.member <> h.requester UNION ALL "
    "SELECT h.id, m.roleid, m.member FROM helper h JOIN pg_catalog.pg_auth_members m ON m.member = h.role WHERE "
    "m.roleid <> h.grant_role) s ";

bool remove_strange_memberships() {
    static const std::string grants = "SELECT DISTINCT id FROM " + strange_memberships;
    static const std::string of_grant = "SELECT g.rolname::text, m.rolname::text FROM " + strange_memberships +
                                        "JOIN pg_catalog.pg_authid g ON g.oid = s.roleid JOIN pg_catalog.pg_authid m "
                                        "ON m.oid = s.member WHERE s.id = ";
    const auto strange = task::query_ids_replanned(grants.c_str());
    for (const auto id : strange)
        task::run_or_log("take away what was granted by hand around grant " + std::to_string(id), [&] {
            for (const auto& row : pg::query_replanned((of_grant + std::to_string(id)).c_str()))
                take_back(id, row.get<std::string>(0), row.get<std::string>(1));
        });
    return !strange.empty();
}

// A role that jit_create_template made is nobody's but its grants'.
bool remove_standing_members() {
    bool found = false;
    task::run_or_log("take a template's role from its standing members", [&] {
        for (const auto& row :
             pg::query_replanned("SELECT t.role_name, m.rolname::text FROM jit_access.template t JOIN "
                                 "pg_catalog.pg_auth_members x ON x.roleid = t.role "
                                 "JOIN pg_catalog.pg_authid m ON m.oid = x.member WHERE t.role_created AND "
                                 "t.dropped_at IS NULL AND NOT EXISTS "
                                 "(SELECT FROM jit_access.request r WHERE r.grant_role = x.member)")) {
            found = true;
            take_back(std::nullopt, row.get<std::string>(0), row.get<std::string>(1));
        }
    });
    return found;
}

// A live grant whose own membership was taken away by hand gives nothing any more, so it is over. So is one without the
// marker: it would give, and no backend would see that.
bool end_gutted_grants() {
    const auto gutted = task::query_ids_replanned(
        "SELECT r.id FROM jit_access.request r WHERE r.state IN ('active', 'suspended') AND (NOT EXISTS "
        "(SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_authid a ON a.oid = m.roleid "
        "WHERE m.member = r.requester AND (m.roleid = r.grant_role OR a.rolname = 'jit_gate_' || r.id) OR m.roleid = "
        "r.grant_role AND m.member = (SELECT oid FROM pg_catalog.pg_authid WHERE rolname = 'jit_login_' || r.id)) OR "
        "NOT "
        "EXISTS "
        "(SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_authid a ON a.oid = m.roleid "
        "WHERE m.member = r.grant_role AND a.rolname = 'jit_marker'))");
    for (const auto id : gutted)
        task::run_or_log("end grant " + std::to_string(id), [&] {
            auto request = request::lock(id);
            if (!core::next(request.state, Event::revoke)) return;
            note(id, {{"what", "its membership was taken away by hand"}});
            request::advance(request, Event::revoke, task::actor, "its membership was taken away by hand");
            commit_actions::finish(static_cast<std::uint64_t>(id));
        });
    return !gutted.empty();
}

// A template's role that has come to reach more than a template may give: its grants stop until somebody has looked.
void suspend_overgrown_templates() {
    for (const auto id :
         task::query_ids("SELECT DISTINCT template_id FROM jit_access.request WHERE state = 'active'")) {
        std::optional<std::string> overgrown;
        task::run_or_log("look at a template", [&] {
            try {
                templates::check_closure(templates::lock(id));
            } catch (const core::Failure& failure) {
                overgrown = failure.detail;
            }
        });
        if (!overgrown) continue;
        for (const auto grant :
             task::query_ids("SELECT id FROM jit_access.request WHERE state = 'active' AND template_id = $1", {id}))
            task::run_or_log("suspend grant " + std::to_string(grant), [&] {
                auto request = request::lock(grant);
                if (request.state != State::active) return;
                note(grant, {{"what", overgrown}});
                request::advance(request, Event::suspend, task::actor,
                                 "its template reaches more than a template may give");
                commit_actions::finish(static_cast<std::uint64_t>(grant));
            });
    }
}

enum class Effort { where_changed, everything };

void sweep(Effort effort) {
    // The server tells when a role or a membership changes. What is not told (somebody edits our tables) is met all the
    // same, later.
    constexpr std::int64_t at_least_every = 60'000'000;
    static std::uint64_t seen = enforcement::no_generation;
    static std::int64_t last = 0;
    const auto changes = enforcement::membership_generation();
    const auto now = pg::boot_clock();
    if (effort == Effort::everything || changes != seen || now - last >= at_least_every) {
        const auto faults = task::failure_count();
        bool found = remove_orphans();
        found |= take_marker_from_people();
        found |= remove_strange_memberships();
        found |= remove_standing_members();
        found |= end_gutted_grants();
        seen = found || task::failure_count() != faults ? enforcement::no_generation : changes;
        last = now;
    }
    suspend_overgrown_templates();
}

}  // namespace

void sweep() { sweep(Effort::where_changed); }

void sweep_if_requested() {
    const auto wanted = shared_state->sweeps.requested.load();
    if (wanted == shared_state->sweeps.completed.load()) return;
    templates::forget_closures();
    sweep(Effort::everything);
    shared_state->sweeps.completed.store(wanted);
}

std::uint64_t sweep_and_wait() {
    constexpr std::int64_t patience = 60'000'000;
    auto& sweeps = shared_state->sweeps;
    const auto before = sweeps.differences.load();
    const auto mine = sweeps.requested.fetch_add(1) + 1;
    const auto until = pg::boot_clock() + patience;
    wake_worker();
    while (sweeps.completed.load() < mine) {
        if (pg::boot_clock() > until)
            throw core::Failure(core::Code::wrong_state, "no sweep has been made",
                                "The worker has not answered for a minute.",
                                "Look at worker_pid and worker_loops in jit_access.health, and at the server log.");
        pg::nap(20);
    }
    return sweeps.differences.load() - before;
}

}  // namespace jit::drift
