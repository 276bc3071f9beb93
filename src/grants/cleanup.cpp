#include "jit_access/grants/cleanup.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/grants/hand_over.hpp"
#include "jit_access/grants/provision.hpp"
#include "jit_access/grants/temporary_login.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::cleanup {

using core::Code;
using core::Failure;

namespace {

bool revoke_from_members(pg::RoleId role, const std::string& name) {
    // The names are looked up one by one, because in a cluster with many roles planning a join takes longer than these
    // look-ups.
    const auto rows =
        pg::query("SELECT member FROM pg_catalog.pg_auth_members WHERE roleid = $1 GROUP BY member", {role});
    for (const auto& row : rows)
        if (const auto member = pg::role_name(row.get<pg::RoleId>(0))) revoke_membership(name, *member);
    return !rows.empty();
}

// Objects in another database can be changed only by a process that is connected to it. Starts such a process for each
// other database in which something is left, and returns a line for each database. Once a process has succeeded, the
// next attempt finds nothing left in its database.
std::vector<std::string> start_in_other_databases(pg::RoleId role, const std::string& name,
                                                  const pg::NewOwner& new_owner) {
    std::vector<std::string> lines;
    for (const auto& row : pg::query(R"sql(
             SELECT d.oid, d.datname::text, count(*)
             FROM pg_catalog.pg_shdepend s
             JOIN pg_catalog.pg_database d ON d.oid = s.dbid
             WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1
               AND d.datname <> pg_catalog.current_database()
             GROUP BY d.oid, d.datname
             ORDER BY d.datname
         )sql",
                                     {role})) {
        const bool started = pg::start_cleanup("jit_cleanup_main", row.get<pg::RoleId>(0).oid, role, new_owner);
        lines.push_back("\"" + name + "\" has left something in database \"" + row.get<std::string>(1) + "\" (" +
                        std::to_string(row.get<std::int64_t>(2)) + "): " +
                        (started ? "it is being cleaned up there"
                                 : "no background worker was free to clean up there; see max_worker_processes"));
    }
    if (lines.empty()) return lines;
    if (auto notes = hand_over::notes_of(role); !notes.empty()) lines.push_back(std::move(notes));
    return lines;
}

// Whether an object in any database, its access list or a policy names the role. Few grants leave objects behind.
bool is_named_by_objects(pg::RoleId role) {
    return pg::query_row(R"sql(
               SELECT 1 FROM pg_catalog.pg_shdepend
               WHERE refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND refobjid = $1
                 AND classid <> 'pg_catalog.pg_auth_members'::pg_catalog.regclass
               LIMIT 1
           )sql",
                         {role})
        .has_value();
}

bool owns_objects(pg::RoleId role) {
    return pg::query_row(R"sql(
               SELECT 1 FROM pg_catalog.pg_shdepend
               WHERE refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND refobjid = $1 AND deptype = 'o'
               LIMIT 1
           )sql",
                         {role})
        .has_value();
}

// The role that gets the objects, as the template names it: its OID, its name and whether it may get code.
struct Successor {
    pg::RoleId role;
    std::string name;
    bool takes_code;
    std::int64_t grant;
};

// The role is checked again, because it may have been changed since the template was defined.
pg::NewOwner checked_owner(const Successor& successor) {
    if (pg::role_name(successor.role) != successor.name)
        throw Failure(Code::wrong_state,
                      "role \"" + successor.name +
                          "\", the new owner of objects created under the grant, was dropped or renamed");
    if (pg::is_superuser(successor.role))
        throw Failure(Code::wrong_state, "role \"" + successor.name +
                                             "\", the new owner of objects created under the grant, is a superuser");
    return {successor.role, successor.takes_code, successor.grant};
}

// The obstacles that keep the role from being dropped, one line for each.
std::vector<std::string> hand_over_in_all_databases(pg::RoleId role, const pg::NewOwner& new_owner) {
    const auto name = pg::role_name(role);
    if (!name || !is_named_by_objects(role)) return {};
    auto lines = hand_over::objects_of(role, new_owner);
    for (auto& line : start_in_other_databases(role, *name, new_owner)) lines.push_back(std::move(line));
    return lines;
}

// The temporary roles of a grant that exist: the gate or the login, if its mode needs one, and the grant's own role.
std::vector<pg::RoleId> roles_of_grant(std::int64_t id, pg::RoleId grant_role) {
    std::vector<pg::RoleId> roles;
    if (const auto gate = pg::find_role(provision::gate_role_name(id))) roles.push_back(*gate);
    if (const auto login = pg::find_role(temporary_login::login_role_name(id))) roles.push_back(*login);
    if (pg::role_name(grant_role)) roles.push_back(grant_role);
    return roles;
}

void drop_role(pg::RoleId role) {
    if (const auto name = pg::role_name(role)) pg::command("DROP ROLE " + pg::quote(*name));
}

}  // namespace

void clean_this_database(pg::RoleId role, const pg::NewOwner& new_owner) {
    const auto obstacles = hand_over::objects_of(role, new_owner);
    for (const auto& obstacle : obstacles) pg::log_line(obstacle);
    if (const auto name = pg::role_name(role)) hand_over::write_notes(*name, obstacles, hand_over::Notes::replace);
}

void revoke_membership(const std::string& role, const std::string& member) {
    const auto role_id = pg::find_role(role);
    const auto member_id = pg::find_role(member);
    if (!role_id || !member_id) return;
    constexpr const char* grantors = "SELECT grantor FROM pg_catalog.pg_auth_members WHERE roleid = $1 AND member = $2";
    for (const auto& row : pg::query(grantors, {*role_id, *member_id})) {
        std::string sql = "REVOKE " + pg::quote(role) + " FROM " + pg::quote(member);
        // From PostgreSQL 16 on, each grantor has a membership of its own, and REVOKE without GRANTED BY removes only
        // that of the current user.
        if (const auto grantor = pg::role_name(row.get<pg::RoleId>(0)); grantor && pg::memberships_carry_options())
            sql += " GRANTED BY " + pg::quote(*grantor) + " CASCADE";
        pg::command(sql);
    }
    if (!pg::query(grantors, {*role_id, *member_id}).empty())
        throw Failure(Code::wrong_state,
                      "the membership of \"" + member + "\" in \"" + role + "\" could not be revoked");
}

bool revoke_all_memberships(pg::RoleId role, const std::string& name) {
    bool any = revoke_from_members(role, name);
    // Without memberships, code that the role still owns runs without privileges. The membership in jit_marker stays,
    // because it identifies a session that still has the role.
    for (const auto parent : pg::memberships(role))
        if (const auto parent_name = pg::role_name(parent); parent_name && *parent_name != core::marker_role) {
            contention::lock_for_memberships(parent);
            revoke_membership(*parent_name, name);
            any = true;
        }
    return any;
}

void drop_unclaimed_role(pg::RoleId role, const std::string& name) {
    revoke_from_members(role, name);
    const auto digits = name.find_last_not_of("0123456789") + 1;
    constexpr std::size_t max_digits = 18;
    const bool has_id = digits < name.size() && name.size() - digits <= max_digits;
    const pg::NewOwner nobody{.grant = has_id ? std::stoll(name.substr(digits)) : std::int64_t{role.oid}};
    if (const auto obstacles = hand_over_in_all_databases(role, nobody); !obstacles.empty())
        throw Failure(Code::wrong_state, "\"" + name + "\" cannot be dropped yet", core::join(obstacles, "; "));
    drop_role(role);
}

std::vector<std::string> drop_empty_quarantine_roles() {
    std::vector<std::string> dropped;
    for (const auto& row : pg::query_replanned(R"sql(
             SELECT a.rolname::text
             FROM pg_catalog.pg_authid a
             WHERE a.rolname ~ '^jit_quarantine_[0-9]+$'
               AND NOT EXISTS (
                   SELECT FROM pg_catalog.pg_shdepend s
                   WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = a.oid
                     AND s.classid <> 'pg_catalog.pg_auth_members'::pg_catalog.regclass)
         )sql")) {
        const auto& name = row.get<std::string>(0);
        pg::command("DROP ROLE " + pg::quote(name));
        dropped.push_back(name);
    }
    return dropped;
}

void revoke_grant_memberships(std::int64_t id) {
    const auto row =
        pg::query_row("SELECT grant_role FROM jit_access.request WHERE id = $1 AND cleanup = 'due' FOR UPDATE", {id});
    if (!row) return;
    // The gate is dropped only in step 3, because an object that names it must not prevent the memberships from being
    // revoked.
    const auto gate = provision::gate_role_name(id);
    if (const auto gate_id = pg::find_role(gate)) revoke_all_memberships(*gate_id, gate);
    temporary_login::disable_login(id);
    // The role is found by its OID, so its memberships are revoked even if it has been renamed.
    const auto role = row->get<pg::RoleId>(0);
    if (const auto name = pg::role_name(role)) revoke_all_memberships(role, *name);
}

std::string hand_over_objects(std::int64_t id) {
    const auto row = pg::query_row(R"sql(
        SELECT r.grant_role,
               coalesce(t.object_owner, t.role),
               coalesce(t.object_owner_name, t.role_name),
               t.allow_code,
               r.scope
        FROM jit_access.request r
        JOIN jit_access.template t ON t.id = r.template_id
        WHERE r.id = $1 AND r.cleanup = 'due'
        FOR UPDATE OF r
    )sql",
                                   {id});
    if (!row) return {};
    temporary_login::disable_login(id);  // again: a session may have started since step 1
    const Successor successor{row->get<pg::RoleId>(1), row->get<std::string>(2), row->get<bool>(3), id};
    // A narrowed grant has privileges of its own, in access lists that an open transaction may be about to change.
    if (const auto scope = row->maybe<pg::TextArray>(4)) contention::lock_for_access_lists(*scope);
    std::vector<std::string> lines;
    for (const auto role : roles_of_grant(id, row->get<pg::RoleId>(0))) {
        const auto new_owner = owns_objects(role) ? checked_owner(successor) : pg::NewOwner{.grant = id};
        for (auto& line : hand_over_in_all_databases(role, new_owner)) lines.push_back(std::move(line));
    }
    return core::join(lines, "; ");
}

void drop_grant_roles(std::int64_t id) {
    const auto row =
        pg::query_row("SELECT grant_role FROM jit_access.request WHERE id = $1 AND cleanup = 'due' FOR UPDATE", {id});
    if (!row) return;
    for (const auto role : roles_of_grant(id, row->get<pg::RoleId>(0))) drop_role(role);
    pg::execute(R"sql(
        UPDATE jit_access.request
        SET cleanup = 'done', cleanup_error = NULL, cleanup_next = NULL
        WHERE id = $1
    )sql",
                {id});
    const auto quarantine = pg::find_role(hand_over::quarantine_role_name(id));
    control_event::write("cleaned up", id, task::actor,
                         quarantine ? control_event::Detail{{"quarantined", hand_over::notes_of(*quarantine)}}
                                    : control_event::Detail{});
}

}  // namespace jit::cleanup
