#include "jit_access/grants/cleanup.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/grants/provision.hpp"
#include "jit_access/grants/temporary_login.hpp"
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

// Objects in another database can be reassigned only by a process that is connected to it. This function starts such a
// process and fails; a later attempt finds no objects any more.
void reassign_in_other_databases(pg::RoleId role, const std::string& name, const pg::NewOwner& new_owner) {
    const auto database = pg::query_row(R"sql(
        SELECT d.oid, d.datname::text
        FROM pg_catalog.pg_shdepend s
        JOIN pg_catalog.pg_database d ON d.oid = s.dbid
        WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1
          AND d.datname <> pg_catalog.current_database()
        LIMIT 1
    )sql",
                                        {role});
    if (!database) return;
    const bool started = pg::start_cleanup("jit_cleanup_main", database->get<pg::RoleId>(0).oid, role, new_owner);
    throw Failure(Code::wrong_state,
                  "\"" + name + "\" has left something in database \"" + database->get<std::string>(1) + "\"",
                  started ? "It is being reclaimed; if this stays, the server log says why."
                          : "No background worker was free to reclaim it; see max_worker_processes.");
}

// Finds the first object in this database that role $1 owns and that must not get another owner, with the reason.
//
// Code that runs with the privileges of its owner would run with those of the new owner, which the approvers of the
// grant never agreed to. That includes code in places that are easily overlooked: views without security_invoker, rules
// and materialized views; expressions of indexes, partition keys and extended statistics, evaluated by maintenance
// commands; and triggers, defaults and checks that the logical replication worker or the action of a foreign key runs
// as the owner of the table. Other code is reassigned only if the template allows it ($2).
//
// The query must run in every database, including databases without the extension, so it cannot be a view.
constexpr const char* object_to_keep = R"sql(
    WITH owned AS (
        SELECT s.classid, s.objid, s.objsubid
        FROM pg_catalog.pg_shdepend s
        WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1 AND s.deptype = 'o'
          AND s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())),
    judged AS (
        SELECT o.*,
               CASE
               WHEN p.prosecdef OR c.relkind = 'm'
                    OR EXISTS (
                        SELECT FROM pg_catalog.pg_rewrite r
                        WHERE r.ev_class = c.oid
                          AND NOT (c.relkind = 'v' AND EXISTS (
                              SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) x
                              WHERE x.option_name = 'security_invoker' AND x.option_value::boolean)))
               THEN 'runs with the privileges of its owner'
               WHEN EXISTS (
                        SELECT FROM pg_catalog.pg_trigger g
                        WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled IN ('A', 'R'))
                    OR EXISTS (
                        SELECT FROM pg_catalog.pg_constraint f
                        WHERE f.conrelid = c.oid AND f.contype = 'f'
                          AND (f.confupdtype IN ('c', 'n', 'd') OR f.confdeltype IN ('c', 'n', 'd')))
                    AND (EXISTS (
                             SELECT FROM pg_catalog.pg_trigger g
                             WHERE g.tgrelid = c.oid AND NOT g.tgisinternal)
                         OR $2 AND EXISTS (
                             SELECT FROM pg_catalog.pg_depend d
                             LEFT JOIN pg_catalog.pg_attrdef a
                                 ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.oid = d.objid
                             LEFT JOIN pg_catalog.pg_constraint k
                                 ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = d.objid
                             WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                               AND (c.oid IN (a.adrelid, k.conrelid)
                                    OR k.contypid IN (SELECT y.atttypid FROM pg_catalog.pg_attribute y
                                                      WHERE y.attrelid = c.oid))))
               THEN 'has code that foreign keys or replication run with the privileges of its owner'
               WHEN i.indexprs IS NOT NULL OR i.indpred IS NOT NULL OR t.partexprs IS NOT NULL
                    OR e.stxexprs IS NOT NULL
               THEN 'has expressions, which run with the privileges of its owner'
               WHEN c.relkind IN ('r', 'p', 'S', 'i', 'I', 't')
                    OR o.classid IN ('pg_catalog.pg_type'::pg_catalog.regclass,
                                     'pg_catalog.pg_namespace'::pg_catalog.regclass,
                                     'pg_catalog.pg_statistic_ext'::pg_catalog.regclass,
                                     'pg_catalog.pg_largeobject'::pg_catalog.regclass)
               THEN NULL
               WHEN $2 AND (c.relkind = 'v'
                            OR o.classid IN ('pg_catalog.pg_proc'::pg_catalog.regclass,
                                             'pg_catalog.pg_operator'::pg_catalog.regclass,
                                             'pg_catalog.pg_opclass'::pg_catalog.regclass,
                                             'pg_catalog.pg_opfamily'::pg_catalog.regclass,
                                             'pg_catalog.pg_collation'::pg_catalog.regclass,
                                             'pg_catalog.pg_conversion'::pg_catalog.regclass,
                                             'pg_catalog.pg_ts_config'::pg_catalog.regclass,
                                             'pg_catalog.pg_ts_dict'::pg_catalog.regclass))
               THEN NULL
               ELSE 'is code'
               END AS why
        FROM owned o
        LEFT JOIN pg_catalog.pg_class c ON o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = o.objid
        LEFT JOIN pg_catalog.pg_proc p ON o.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = o.objid
        LEFT JOIN pg_catalog.pg_index i
            ON i.indrelid = c.oid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
        LEFT JOIN pg_catalog.pg_partitioned_table t ON t.partrelid = c.oid
        LEFT JOIN pg_catalog.pg_statistic_ext e ON e.stxrelid = c.oid AND e.stxexprs IS NOT NULL)
    SELECT pg_catalog.pg_describe_object(classid, objid, objsubid), why
    FROM judged
    WHERE why IS NOT NULL
    LIMIT 1
)sql";

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
    return {successor.role, successor.takes_code};
}

void drop_role(pg::RoleId role, const Successor& successor) {
    const auto name = pg::role_name(role);
    if (!name) return;
    const auto new_owner = owns_objects(role) ? checked_owner(successor) : pg::NewOwner{};
    reassign(role, *name, new_owner);
    reassign_in_other_databases(role, *name, new_owner);
    pg::command("DROP ROLE " + pg::quote(*name));
}

}  // namespace

void reassign(pg::RoleId role, const std::string& name, const pg::NewOwner& new_owner) {
    if (owns_objects(role)) {
        if (const auto kept = pg::query_row(object_to_keep, {role, new_owner.takes_code}))
            throw Failure(Code::wrong_state, "\"" + name + "\" owns " + kept->get<std::string>(0) + ", which " +
                                                 kept->get<std::string>(1) + " and is not reassigned");
        const auto owner_name = pg::role_name(new_owner.role);
        if (!owner_name)
            throw Failure(Code::wrong_state,
                          "the new owner of the objects of \"" + name + "\" does not exist any more");
        pg::command("REASSIGN OWNED BY " + pg::quote(name) + " TO " + pg::quote(*owner_name));
    }
    pg::change_access_lists("DROP OWNED BY " + pg::quote(name) + " RESTRICT");
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

void revoke_privileges(pg::RoleId role, const std::string& name) {
    if (!owns_objects(role)) pg::change_access_lists("DROP OWNED BY " + pg::quote(name) + " RESTRICT");
}

void drop_empty_role(pg::RoleId role, const std::string& name) {
    revoke_from_members(role, name);
    pg::command("DROP ROLE " + pg::quote(name));
}

void revoke_grant_memberships(std::int64_t id) {
    const auto row =
        pg::query_row("SELECT grant_role FROM jit_access.request WHERE id = $1 AND cleanup = 'due' FOR UPDATE", {id});
    if (!row) return;
    const auto gate = provision::gate_role_name(id);
    if (const auto gate_id = pg::find_role(gate)) drop_empty_role(*gate_id, gate);
    temporary_login::disable_login(id);
    // The role is found by its OID, so its memberships are revoked even if it has been renamed.
    const auto role = row->get<pg::RoleId>(0);
    if (const auto name = pg::role_name(role)) revoke_all_memberships(role, *name);
}

void drop_grant_roles(std::int64_t id) {
    const auto row = pg::query_row(R"sql(
        SELECT r.grant_role,
               coalesce(t.object_owner, t.role),
               coalesce(t.object_owner_name, t.role_name),
               t.allow_code
        FROM jit_access.request r
        JOIN jit_access.template t ON t.id = r.template_id
        WHERE r.id = $1 AND r.cleanup = 'due'
        FOR UPDATE OF r
    )sql",
                                   {id});
    if (!row) return;
    const Successor successor{row->get<pg::RoleId>(1), row->get<std::string>(2), row->get<bool>(3)};
    if (const auto login = pg::find_role(temporary_login::login_role_name(id))) {
        temporary_login::disable_login(id);  // again: a session may have started since step 1
        drop_role(*login, successor);
    }
    drop_role(row->get<pg::RoleId>(0), successor);
    // The SELECT above holds the row lock.
    pg::execute(R"sql(
        UPDATE jit_access.request
        SET cleanup = 'done', cleanup_error = NULL, cleanup_next = NULL
        WHERE id = $1
    )sql",
                {id});
    control_event::write("cleaned up", id, task::actor);
}

}  // namespace jit::cleanup
