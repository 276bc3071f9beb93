#include "jit_access/policy/template_closure.hpp"

#include <algorithm>

#include "jit_access/shared/shared_state.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/policy/template.hpp"
#include "jit_access/shared/commit_actions.hpp"

namespace jit::templates {

namespace {

// Roles that amount to a superuser, to writing everything, or to this extension's own offices.
constexpr const char* forbidden =
    "('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_write_all_data', "
    "'pg_create_subscription', 'jit_admin', 'jit_auditor', 'jit_marker')";

constexpr const char* closure = "WITH closure (role) AS (SELECT pg_catalog.unnest($1::pg_catalog.oid[])) ";

std::string attributes() {
    return std::string(closure) +
           "SELECT a.rolname::text, CASE WHEN a.rolsuper THEN 'is a superuser' WHEN a.rolcreaterole THEN 'has "
           "CREATEROLE' "
           "WHEN a.rolcreatedb THEN 'has CREATEDB' WHEN a.rolreplication THEN 'has REPLICATION' "
           "WHEN a.rolbypassrls THEN 'has BYPASSRLS' WHEN a.rolname IN " +
           forbidden +
           " THEN 'may not be given by a template' "
           "WHEN a.rolname ~ '^jit_(grant|gate)_' THEN 'belongs to another grant' "
           "WHEN a.oid = ($1::pg_catalog.oid[])[1] AND a.rolcanlogin THEN 'can log in' END AS fault "
           "FROM closure c JOIN pg_catalog.pg_authid a ON a.oid = c.role ORDER BY 2 NULLS LAST LIMIT 1";
}

std::string admin_options() {
    return std::string(closure) +
           "SELECT g.rolname::text, m.rolname::text FROM pg_catalog.pg_auth_members x JOIN closure c ON c.role = "
           "x.member "
           "JOIN pg_catalog.pg_authid g ON g.oid = x.roleid JOIN pg_catalog.pg_authid m ON m.oid = x.member "
           "WHERE x.admin_option LIMIT 1";
}

std::string owned_objects() {
    return std::string(closure) +
           "SELECT a.rolname::text FROM closure c JOIN pg_catalog.pg_authid a ON a.oid = c.role WHERE EXISTS "
           "(SELECT FROM pg_catalog.pg_shdepend d WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass "
           "AND d.refobjid = c.role AND d.deptype = 'o') AND (c.role = ($1::pg_catalog.oid[])[1]) = $2 LIMIT 1";
}

// Entries of access lists, of this database and of shared objects, that name a role of the closure and should not: one
// that may be passed on, one on an object of this extension, a parameter of the server, a function of the server that
// is kept from the public, or (unless the template may change the schema) one that makes objects.
std::string access_lists() {
    // Who writes into pg_cron's tables schedules jobs.
    const std::string not_to_be_touched =
        "(e.extname = 'jit_access' OR (e.extname = 'pg_cron' AND x.privilege_type NOT IN ('SELECT', 'USAGE')))";
    const auto from = [&](const char* catalog, const char* acl, const char* name, const char* fault = "NULL") {
        return std::string("SELECT ") + name + "::text AS object, x.privilege_type, x.is_grantable, CASE WHEN " +
               not_to_be_touched + " THEN 'belongs to ' || e.extname ELSE " + fault +
               " END AS fault FROM depends d JOIN pg_catalog." + catalog +
               " o ON o.oid = d.objid AND d.classid = 'pg_catalog." + catalog +
               "'::pg_catalog.regclass LEFT JOIN ours e ON e.classid = d.classid AND e.objid = d.objid, "
               "pg_catalog.aclexplode(o." +
               acl + ") x WHERE x.grantee = d.refobjid ";
    };
    const std::string all = " UNION ALL ";
    return std::string(closure) +
           ", depends AS MATERIALIZED (SELECT d.classid, d.objid, d.refobjid FROM closure c JOIN "
           "pg_catalog.pg_shdepend "
           "d ON d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = c.role AND d.deptype = "
           "'a' AND "
           "d.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))), "
           "ours AS MATERIALIZED (SELECT x.classid, x.objid, e.extname FROM pg_catalog.pg_depend x JOIN "
           "pg_catalog.pg_extension e "
           "ON "
           "e.oid = x.refobjid AND x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND x.deptype = 'e' "
           "WHERE e.extname IN ('jit_access', 'pg_cron')), entries AS (" +
           from("pg_class", "relacl", "o.relname") + all +
           "SELECT o.attname::text, x.privilege_type, x.is_grantable, CASE WHEN " + not_to_be_touched +
           " THEN 'belongs to ' || e.extname END "
           "FROM depends d JOIN pg_catalog.pg_attribute o ON o.attrelid = d.objid AND d.classid = "
           "'pg_catalog.pg_class'::pg_catalog.regclass AND o.attacl IS NOT NULL LEFT JOIN ours e ON e.classid = "
           "d.classid AND "
           "e.objid = d.objid, pg_catalog.aclexplode(o.attacl) x WHERE x.grantee = d.refobjid " +
           all + from("pg_namespace", "nspacl", "o.nspname") + all +
           from("pg_proc", "proacl", "o.proname",
                "CASE WHEN o.pronamespace = 'pg_catalog'::pg_catalog.regnamespace THEN 'is kept from the public by the "
                "server' END") +
           all + from("pg_database", "datacl", "o.datname") + all + from("pg_type", "typacl", "o.typname") + all +
           from("pg_language", "lanacl", "o.lanname") + all + from("pg_foreign_server", "srvacl", "o.srvname") + all +
           from("pg_foreign_data_wrapper", "fdwacl", "o.fdwname") + all + from("pg_tablespace", "spcacl", "o.spcname") +
           all + from("pg_default_acl", "defaclacl", "'default privileges'") + all +
           from("pg_parameter_acl", "paracl", "o.parname", "'is a parameter of the server'") +
           ") SELECT object, privilege_type, is_grantable, fault FROM entries WHERE is_grantable OR fault IS NOT NULL "
           "OR "
           "(NOT $2 AND privilege_type IN ('CREATE', 'TRIGGER')) ORDER BY is_grantable DESC, fault LIMIT 1";
}

core::Failure refuse(const Template& of, const std::string& why, const std::string& hint) {
    return {core::Code::privilege_refused, "template \"" + of.name + "\" reaches more than a template may give", why,
            hint};
}

// Looking through every access list takes as long as the template has tables, and activation must not. So a template
// that was found good is sealed: with the roles of its closure, and with an epoch that moves whenever a command could
// have given one of them a grant option, a CREATE or TRIGGER privilege, or an object (commit_actions::change_closures).
// What does not depend on the number of tables is checked every time.
std::uint64_t seal_of(const Template& of, std::vector<pg::RoleId> roles) {
    std::uint64_t seal = 14695981039346656037U;  // FNV-1a
    const auto add = [&](std::uint64_t value) {
        for (int i = 0; i < 8; ++i) seal = (seal ^ ((value >> (8 * i)) & 0xFF)) * 1099511628211U;
    };
    add(shared_state->closure_epoch.load());
    add(static_cast<std::uint64_t>(of.id));
    add(of.allow_schema_change ? 1 : 0);
    std::sort(roles.begin(), roles.end(), [](pg::RoleId a, pg::RoleId b) { return a.oid < b.oid; });
    for (const auto role : roles) add(role.oid);
    return seal;
}

std::atomic<std::uint64_t>& seal_slot(const Template& of) {
    return shared_state->checked_closures[static_cast<std::uint64_t>(of.id) % shared_state->checked_closures.size()];
}

// The template's own role (`own`), which nobody can log in as, or the others of the closure.
void check_owners(const Template& of, const pg::TextArray& roles, bool own) {
    if (of.allow_schema_change) return;
    static const std::string sql = owned_objects();
    if (const auto row = pg::query_row(sql.c_str(), {roles, own}))
        throw refuse(
            of, "Role \"" + row->get<std::string>(0) + "\" owns objects, and an owner can do everything with them.",
            "Declare the template with allow_schema_change => true and mode => 'set_role', or use another role.");
}

void check_objects(const Template& of, const pg::TextArray& roles, const std::string& hint) {
    static const std::string lists_sql = access_lists();
    check_owners(of, roles, true);
    const auto entry = pg::query_row(lists_sql.c_str(), {roles, of.allow_schema_change});
    if (!entry) return;
    const auto what = entry->get<std::string>(1) + " on \"" + entry->get<std::string>(0) + "\"";
    if (entry->get<bool>(2)) throw refuse(of, "It holds " + what + " with GRANT OPTION.", hint);
    if (!entry->is_null(3)) throw refuse(of, "It holds " + what + ", which " + entry->get<std::string>(3) + ".", hint);
    throw refuse(of, "It holds " + what + ", which makes objects that outlive a grant.",
                 "Declare the template with allow_schema_change => true and mode => 'set_role'.");
}

}  // namespace

void forget_closures() noexcept { shared_state->closure_epoch.fetch_add(1); }

void check_closure(const Template& of) {
    static const std::string attributes_sql = attributes();
    static const std::string admin_sql = admin_options();
    const std::string hint = "Take it away from the role, or leave it out of the template.";

    const auto reached = pg::closure(of.role);
    pg::TextArray roles;
    for (const auto& role : reached) roles.push_back(std::to_string(role.oid));
    const auto role = pg::query_row(attributes_sql.c_str(), {roles});
    if (!role)
        throw refuse(of, "Its role \"" + of.role_name + "\" does not exist any more.",
                     "Drop the template and make it anew.");
    if (pg::role_name(of.role) != of.role_name)
        throw refuse(of, "Its role \"" + of.role_name + "\" was renamed.", "Give it its name back.");
    if (!role->is_null(1))
        throw refuse(of, "Role \"" + role->get<std::string>(0) + "\" " + role->get<std::string>(1) + ".", hint);
    if (const auto row = pg::query_row(admin_sql.c_str(), {roles}))
        throw refuse(
            of, "Role \"" + row->get<std::string>(1) + "\" has ADMIN OPTION on \"" + row->get<std::string>(0) + "\".",
            hint);
    check_owners(of, roles, false);
    // A template that is being made has no id yet.
    const bool may_be_sealed = of.id != 0 && !commit_actions::closures_changed();
    const auto seal = seal_of(of, reached);
    if (may_be_sealed && seal_slot(of).load() == seal) return;
    check_objects(of, roles, hint);
    if (may_be_sealed) seal_slot(of).store(seal);
}

}  // namespace jit::templates
