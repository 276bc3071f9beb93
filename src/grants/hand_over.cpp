#include "jit_access/grants/hand_over.hpp"

#include <algorithm>
#include <map>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/owner.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/shared/commit_actions.hpp"

namespace jit::hand_over {

namespace {

struct Object {
    pg::RoleId object_class;
    pg::RoleId object;
    std::string description;
    std::string why;  // the reason to quarantine it; empty if it is handed over
};

// The objects in this database, and the databases and tablespaces, that role $1 owns, each with the reason for which it
// must not get the new owner, or NULL.
//
// If code that runs with the privileges of its owner got the new owner, it would run with the privileges of the new
// owner, to which the approvers of the grant never agreed. Such code may be in places that are easily overlooked: views
// without security_invoker, rules and materialized views; and triggers, defaults and checks that the logical
// replication worker or the action of a foreign key runs as the owner of the table. Expressions that maintenance
// commands evaluate are judged by code_of_maintenance(). Other code is reassigned only if the template allows it ($2).
//
// A sequence that belongs to a column has the owner of its table, so it is not listed. Default privileges and user
// mappings are dropped with their role.
//
// The query runs in any database, including databases without the extension, so it cannot be a view.
constexpr const char* owned_objects = R"sql(
    WITH owned AS (
        SELECT s.classid, s.objid, s.objsubid
        FROM pg_catalog.pg_shdepend s
        WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1 AND s.deptype = 'o'
          AND s.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
          AND s.classid NOT IN ('pg_catalog.pg_default_acl'::pg_catalog.regclass,
                                'pg_catalog.pg_user_mapping'::pg_catalog.regclass)),
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
        WHERE NOT (c.relkind IS NOT DISTINCT FROM 'S' AND EXISTS (
                       SELECT FROM pg_catalog.pg_depend d
                       JOIN owned t ON t.classid = d.refclassid AND t.objid = d.refobjid
                       WHERE d.classid = o.classid AND d.objid = o.objid AND d.refobjsubid > 0
                         AND d.deptype IN ('a', 'i'))))
    SELECT classid, objid, pg_catalog.pg_describe_object(classid, objid, objsubid), why
    FROM judged
    ORDER BY classid, objid
)sql";

// The tables of role $1 in this database with expressions that VACUUM, ANALYZE, REINDEX and the attachment of
// partitions evaluate as the owner of the table: the expressions of indexes, extended statistics and partition keys.
constexpr const char* maintenance_expressions = R"sql(
    WITH owned AS (
        SELECT s.objid
        FROM pg_catalog.pg_shdepend s
        WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1 AND s.deptype = 'o'
          AND s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
    SELECT o.objid, x.expressions::text
    FROM owned o
    CROSS JOIN LATERAL (
        SELECT i.indexprs FROM pg_catalog.pg_index i WHERE i.indrelid = o.objid
        UNION ALL
        SELECT i.indpred FROM pg_catalog.pg_index i WHERE i.indrelid = o.objid
        UNION ALL
        SELECT p.partexprs FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = o.objid
        UNION ALL
        SELECT e.stxexprs FROM pg_catalog.pg_statistic_ext e WHERE e.stxrelid = o.objid) x (expressions)
    WHERE x.expressions IS NOT NULL
)sql";

// The tables with a column whose type is, or contains, a range type with functions not written in C. ANALYZE and index
// access methods call these functions without a check of privileges. Only superusers create functions in C.
constexpr const char* ranges_with_functions = R"sql(
    WITH RECURSIVE range AS (
        SELECT r.rngtypid AS type
        FROM pg_catalog.pg_range r
        WHERE EXISTS (
            SELECT FROM pg_catalog.pg_proc f
            JOIN pg_catalog.pg_language l ON l.oid = f.prolang
            WHERE f.oid IN (r.rngsubdiff, r.rngcanonical) AND l.lanname NOT IN ('internal', 'c'))
        UNION
        SELECT t.oid
        FROM range
        JOIN pg_catalog.pg_type t
            ON t.typelem = range.type OR t.typbasetype = range.type
               OR t.oid = (SELECT r.rngmultitypid FROM pg_catalog.pg_range r WHERE r.rngtypid = range.type)
               OR EXISTS (SELECT FROM pg_catalog.pg_attribute y
                          WHERE y.attrelid = t.typrelid AND y.atttypid = range.type))
    SELECT DISTINCT s.objid
    FROM pg_catalog.pg_shdepend s
    JOIN pg_catalog.pg_attribute a ON a.attrelid = s.objid AND NOT a.attisdropped
    JOIN range ON range.type = a.atttypid
    WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1 AND s.deptype = 'o'
      AND s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
)sql";

// Relations whose expressions or types contain code that maintenance commands run as the owner, and the reason for the
// quarantine of each.
std::map<std::uint32_t, std::string> code_of_maintenance(pg::RoleId role) {
    std::map<std::uint32_t, std::string> found;
    for (const auto& row : pg::query(maintenance_expressions, {role}))
        if (!pg::computes_only(row.get<std::string>(1)))
            found.emplace(row.get<pg::RoleId>(0).oid,
                          "has expressions with functions that run with the privileges of its owner");
    for (const auto& row : pg::query(ranges_with_functions, {role}))
        found.emplace(row.get<pg::RoleId>(0).oid,
                      "has a range type with functions that run with the privileges of its owner");
    return found;
}

std::vector<Object> judge(pg::RoleId role, const pg::NewOwner& new_owner) {
    const auto rows = pg::query(owned_objects, {role, new_owner.takes_code});
    if (rows.empty()) return {};
    const auto relations = pg::query_row("SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid");
    const auto maintained = code_of_maintenance(role);
    std::vector<Object> objects;
    for (const auto& row : rows) {
        Object object{row.get<pg::RoleId>(0), row.get<pg::RoleId>(1), row.maybe<std::string>(2).value_or("an object"),
                      row.maybe<std::string>(3).value_or("")};
        const auto code = maintained.find(object.object.oid);
        if (object.why.empty() && object.object_class == relations->get<pg::RoleId>(0) && code != maintained.end())
            object.why = code->second;
        if (object.why.empty() && !new_owner.role) object.why = "was made under a grant of which nothing is known";
        objects.push_back(std::move(object));
    }
    return objects;
}

// In the comment on a quarantine role, each line is one object. Names may contain line breaks and other control
// characters.
std::string on_one_line(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
    return text;
}

std::string about_this_database() {
    return on_one_line(
        "in database " +
        pg::query_row("SELECT pg_catalog.quote_ident(pg_catalog.current_database())").value().get<std::string>(0) +
        ": ");
}

pg::RoleId quarantine_role(std::int64_t grant) {
    const auto name = quarantine_role_name(grant);
    if (const auto role = pg::find_role(name)) return *role;
    pg::command("CREATE ROLE " + pg::quote(name) +
                " NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT");
    // The membership in the marker lets backends recognize the role in every database.
    if (const auto marker = pg::find_role(core::marker_role)) {
        contention::lock_for_memberships(*marker);
        pg::command("GRANT " + pg::quote(core::marker_role) + " TO " + pg::quote(name));
    }
    return pg::find_role(name).value();
}

// A quarantined routine that runs with the privileges of its caller could still be called, so EXECUTE is revoked.
void revoke_execute(const Object& object) {
    for (const auto& row : pg::query(R"sql(
             SELECT format('REVOKE ALL ON ROUTINE %s FROM %s CASCADE', p.oid::pg_catalog.regprocedure,
                           CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(a.rolname) END)
             FROM pg_catalog.pg_proc p
             CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) x
             LEFT JOIN pg_catalog.pg_authid a ON a.oid = x.grantee
             WHERE p.oid = $1 AND 'pg_catalog.pg_proc'::pg_catalog.regclass = $2
         )sql",
                                     {object.object, object.object_class}))
        pg::change_access_lists(row.get<std::string>(0));
}

void quarantine(const Object& object, std::int64_t grant) {
    const auto role = quarantine_role(grant);
    pg::change_owner(object.object_class, object.object, role);
    revoke_execute(object);
    write_notes(quarantine_role_name(grant), {object.description + ", which " + object.why}, Notes::add);
}

}  // namespace

std::string quarantine_role_name(std::int64_t grant) {
    return std::string(core::quarantine_role_prefix) + std::to_string(grant);
}

std::string notes_of(pg::RoleId role) {
    return pg::query_row("SELECT coalesce(pg_catalog.shobj_description($1, 'pg_authid'), '')", {role})
        .value()
        .get<std::string>(0);
}

void write_notes(const std::string& role, const std::vector<std::string>& lines, Notes how) {
    const auto prefix = about_this_database();
    const auto role_id = pg::find_role(role);
    if (!role_id) return;
    std::string text;
    std::string before = notes_of(*role_id);
    const auto add = [&text](const std::string& line) { text += (text.empty() ? "" : "\n") + line; };
    for (std::size_t from = 0; from < before.size();) {
        const auto end = std::min(before.find('\n', from), before.size());
        const auto line = before.substr(from, end - from);
        if (how == Notes::add || !line.starts_with(prefix)) add(line);
        from = end + 1;
    }
    for (const auto& line : lines) add(prefix + on_one_line(line));
    if (text == before) return;
    pg::command("COMMENT ON ROLE " + pg::quote(role) + " IS " +
                (text.empty()
                     ? std::string("NULL")
                     : pg::query_row("SELECT pg_catalog.quote_literal($1)", {text}).value().get<std::string>(0)));
}

std::vector<std::string> objects_of(pg::RoleId role, const pg::NewOwner& new_owner) {
    std::vector<std::string> obstacles;
    for (const auto& object : judge(role, new_owner)) {
        const auto fault = pg::in_subtransaction([&] {
            if (object.why.empty())
                pg::change_owner(object.object_class, object.object, new_owner.role);
            else
                quarantine(object, new_owner.grant);
        });
        if (!fault) continue;
        obstacles.push_back(object.description + ": " + *fault);
        // The worker has other grants to end, so after the first failure it waits only briefly for locks.
        if (obstacles.size() == 1) pg::query("SELECT pg_catalog.set_config('lock_timeout', '10ms', true)");
    }
    // Objects that the new owner receives may add to the privileges that a template gives.
    commit_actions::change_closures();
    // DROP OWNED would drop the objects that are left.
    if (!obstacles.empty()) return obstacles;
    const auto name = pg::role_name(role);
    if (!name) return obstacles;
    if (const auto fault =
            pg::in_subtransaction([&] { pg::change_access_lists("DROP OWNED BY " + pg::quote(*name) + " RESTRICT"); }))
        obstacles.push_back("privileges and policies: " + *fault);
    return obstacles;
}

}  // namespace jit::hand_over
