#include "jit_access/policy/template_closure.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::templates {

namespace {

// ---- queries over the closure: $1 has its roles, the template's own role first -----------------------------------

// The first role that no template may reach, and why: a superuser, an equivalent of one, a role that writes everything,
// or a role of this extension. Returns a row without a fault if there is none, and no row if the roles are gone.
constexpr const char* forbidden_role = R"sql(
    WITH closure (role) AS (SELECT pg_catalog.unnest($1::pg_catalog.oid[]))
    SELECT a.rolname::text,
           CASE WHEN a.rolsuper THEN 'is a superuser'
                WHEN a.rolcreaterole THEN 'has CREATEROLE'
                WHEN a.rolcreatedb THEN 'has CREATEDB'
                WHEN a.rolreplication THEN 'has REPLICATION'
                WHEN a.rolbypassrls THEN 'has BYPASSRLS'
                WHEN a.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files',
                                   'pg_write_all_data', 'pg_create_subscription',
                                   'jit_admin', 'jit_auditor', 'jit_marker') THEN 'may not be given by a template'
                WHEN a.rolname ~ '^jit_(grant|gate)_' THEN 'belongs to another grant'
                WHEN a.oid = ($1::pg_catalog.oid[])[1] AND a.rolcanlogin THEN 'can log in' END AS fault
    FROM closure c JOIN pg_catalog.pg_authid a ON a.oid = c.role
    ORDER BY 2 NULLS LAST
    LIMIT 1
)sql";

// Finds a membership in the closure that its member may pass on.
constexpr const char* admin_option = R"sql(
    WITH closure (role) AS (SELECT pg_catalog.unnest($1::pg_catalog.oid[]))
    SELECT g.rolname::text, m.rolname::text
    FROM pg_catalog.pg_auth_members x
    JOIN closure c ON c.role = x.member
    JOIN pg_catalog.pg_authid g ON g.oid = x.roleid
    JOIN pg_catalog.pg_authid m ON m.oid = x.member
    WHERE x.admin_option
    LIMIT 1
)sql";

// Finds a role that owns an object in any database. $2 says whether to search only the template's own role or only the
// others.
constexpr const char* owning_role = R"sql(
    WITH closure (role) AS (SELECT pg_catalog.unnest($1::pg_catalog.oid[]))
    SELECT a.rolname::text
    FROM closure c JOIN pg_catalog.pg_authid a ON a.oid = c.role
    WHERE EXISTS (SELECT FROM pg_catalog.pg_shdepend d
                  WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
                    AND d.refobjid = c.role AND d.deptype = 'o')
      AND (c.role = ($1::pg_catalog.oid[])[1]) = $2
    LIMIT 1
)sql";

// An entry "e" of an access list that belongs to this extension. A user who can write to pg_cron's tables can
// schedule jobs, which run as their owner.
constexpr const char* of_protected_extension =
    "(e.extname = 'jit_access' OR (e.extname = 'pg_cron' AND x.privilege_type NOT IN ('SELECT', 'USAGE')))";

// The entries of one catalog's access lists for roles of the closure. `fault` is an SQL expression that says why an
// entry is refused, or NULL.
std::string access_list_entries(const char* catalog, const char* acl, const char* name, const char* fault = "NULL") {
    return std::string("SELECT ") + name + "::text AS object, x.privilege_type, x.is_grantable, CASE WHEN " +
           of_protected_extension + " THEN 'belongs to ' || e.extname ELSE " + fault +
           " END AS fault FROM depends d JOIN pg_catalog." + catalog +
           " o ON o.oid = d.objid AND d.classid = 'pg_catalog." + catalog +
           "'::pg_catalog.regclass LEFT JOIN ours e ON e.classid = d.classid AND e.objid = d.objid, "
           "pg_catalog.aclexplode(o." +
           acl + ") x WHERE x.grantee = d.refobjid ";
}

// The first entry of an access list, in this database or on a shared object, that a template may not give: one with
// GRANT OPTION; one on an object of this extension; one on a parameter of the server or on a function that the server
// keeps from PUBLIC; or, unless the template may change the schema ($2), one that lets its holder create objects.
//
// pg_shdepend finds the objects whose access lists name a role of the closure, so that not every catalog is searched.
std::string forbidden_entry() {
    constexpr const char* server_function =
        "CASE WHEN o.pronamespace = 'pg_catalog'::pg_catalog.regnamespace "
        "THEN 'is not granted to PUBLIC by the server' END";
    const std::string all = " UNION ALL ";
    // Columns have no OID of their own, so their dependency names the relation.
    const std::string columns = std::string(R"sql(
            SELECT o.attname::text, x.privilege_type, x.is_grantable, CASE WHEN )sql") +
                                of_protected_extension + R"sql( THEN 'belongs to ' || e.extname END
            FROM depends d
            JOIN pg_catalog.pg_attribute o
                ON o.attrelid = d.objid AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
               AND o.attacl IS NOT NULL
            LEFT JOIN ours e ON e.classid = d.classid AND e.objid = d.objid,
                 pg_catalog.aclexplode(o.attacl) x
            WHERE x.grantee = d.refobjid
        )sql";
    return std::string(R"sql(
        WITH closure (role) AS (SELECT pg_catalog.unnest($1::pg_catalog.oid[])),
        depends AS MATERIALIZED (
            SELECT d.classid, d.objid, d.refobjid
            FROM closure c
            JOIN pg_catalog.pg_shdepend d
                ON d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = c.role
               AND d.deptype = 'a'
               AND d.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database
                                  WHERE datname = pg_catalog.current_database()))),
        ours AS MATERIALIZED (
            SELECT x.classid, x.objid, e.extname
            FROM pg_catalog.pg_depend x
            JOIN pg_catalog.pg_extension e
                ON e.oid = x.refobjid AND x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
               AND x.deptype = 'e'
            WHERE e.extname IN ('jit_access', 'pg_cron')),
        entries AS ()sql") +
           access_list_entries("pg_class", "relacl", "o.relname") + all + columns + all +
           access_list_entries("pg_namespace", "nspacl", "o.nspname") + all +
           access_list_entries("pg_proc", "proacl", "o.proname", server_function) + all +
           access_list_entries("pg_database", "datacl", "o.datname") + all +
           access_list_entries("pg_type", "typacl", "o.typname") + all +
           access_list_entries("pg_language", "lanacl", "o.lanname") + all +
           access_list_entries("pg_foreign_server", "srvacl", "o.srvname") + all +
           access_list_entries("pg_foreign_data_wrapper", "fdwacl", "o.fdwname") + all +
           access_list_entries("pg_tablespace", "spcacl", "o.spcname") + all +
           access_list_entries("pg_default_acl", "defaclacl", "'default privileges'") + all +
           access_list_entries("pg_parameter_acl", "paracl", "o.parname", "'is a parameter of the server'") +
           R"sql()
        SELECT object, privilege_type, is_grantable, fault
        FROM entries
        WHERE is_grantable OR fault IS NOT NULL OR (NOT $2 AND privilege_type IN ('CREATE', 'TRIGGER'))
        ORDER BY is_grantable DESC, fault
        LIMIT 1
    )sql";
}

core::Failure refusal(const Template& tmpl, const std::string& detail, const std::string& hint) {
    return {core::Code::privilege_refused, "template \"" + tmpl.name + "\" reaches more than a template may give",
            detail, hint};
}

// ---- the seal ----------------------------------------------------------------------------------------------------

// Reading every access list takes time in proportion to the tables of the template, and the duration of an activation
// must not depend on that. A template that passed the check is therefore sealed: shared memory keeps a hash of what the
// result depends on. That is the roles of the closure, and an epoch that advances whenever a command could have given
// one of them a grant option, a CREATE or TRIGGER privilege, or an object (commit_actions::change_closures). The checks
// whose cost does not depend on the number of tables run every time.
std::uint64_t seal_of(const Template& tmpl, std::vector<pg::RoleId> roles) {
    std::uint64_t seal = 14695981039346656037U;  // FNV-1a, 64 bits
    const auto add = [&](std::uint64_t value) {
        for (int i = 0; i < 8; ++i) seal = (seal ^ ((value >> (8 * i)) & 0xFF)) * 1099511628211U;
    };
    add(shared_state->closure_epoch.load());
    add(static_cast<std::uint64_t>(tmpl.id));
    add(tmpl.allow_schema_change ? 1 : 0);
    std::sort(roles.begin(), roles.end(), [](pg::RoleId a, pg::RoleId b) { return a.oid < b.oid; });
    for (const auto role : roles) add(role.oid);
    return seal;
}

// Templates may share a place. Then they evict each other's seals, but cannot be confused, because a seal covers the
// template's id.
std::atomic<std::uint64_t>& stored_seal(const Template& tmpl) {
    return shared_state->checked_closures[static_cast<std::uint64_t>(tmpl.id) % shared_state->checked_closures.size()];
}

// ---- checks ------------------------------------------------------------------------------------------------------

enum class Among { own_role, other_roles };

// An owner has all privileges on its objects. The template's own role is checked separately, under the seal: no user
// can log in as that role, so only a command that advances the epoch can make it an owner.
void check_owners(const Template& tmpl, const pg::TextArray& roles, Among among) {
    if (tmpl.allow_schema_change) return;
    if (const auto row = pg::query_row(owning_role, {roles, among == Among::own_role}))
        throw refusal(
            tmpl, "Role \"" + row->get<std::string>(0) + "\" owns objects, and an owner can do everything with them.",
            "Declare the template with allow_schema_change => true and mode => 'set_role', or use another role.");
}

// This is the expensive part. It is skipped while the template is sealed.
void check_objects(const Template& tmpl, const pg::TextArray& roles, const std::string& hint) {
    static const std::string entry_sql = forbidden_entry();
    check_owners(tmpl, roles, Among::own_role);
    const auto entry = pg::query_row(entry_sql.c_str(), {roles, tmpl.allow_schema_change});
    if (!entry) return;
    const auto privilege = entry->get<std::string>(1) + " on \"" + entry->get<std::string>(0) + "\"";
    if (entry->get<bool>(2)) throw refusal(tmpl, "It holds " + privilege + " with GRANT OPTION.", hint);
    if (!entry->is_null(3))
        throw refusal(tmpl, "It holds " + privilege + ", which " + entry->get<std::string>(3) + ".", hint);
    throw refusal(tmpl, "It holds " + privilege + ", which makes objects that outlive a grant.",
                  "Declare the template with allow_schema_change => true and mode => 'set_role'.");
}

}  // namespace

void forget_closures() noexcept { shared_state->closure_epoch.fetch_add(1); }

void check_closure(const Template& tmpl) {
    const std::string hint = "Take it away from the role, or leave it out of the template.";
    const auto closure = pg::closure(tmpl.role);
    pg::TextArray roles;
    for (const auto& role : closure) roles.push_back(std::to_string(role.oid));

    const auto role = pg::query_row(forbidden_role, {roles});
    if (!role)
        throw refusal(tmpl, "Its role \"" + tmpl.role_name + "\" does not exist any more.",
                      "Drop the template and create it again.");
    if (pg::role_name(tmpl.role) != tmpl.role_name)
        throw refusal(tmpl, "Its role \"" + tmpl.role_name + "\" was renamed.", "Restore its name.");
    if (!role->is_null(1))
        throw refusal(tmpl, "Role \"" + role->get<std::string>(0) + "\" " + role->get<std::string>(1) + ".", hint);
    if (const auto row = pg::query_row(admin_option, {roles}))
        throw refusal(
            tmpl, "Role \"" + row->get<std::string>(1) + "\" has ADMIN OPTION on \"" + row->get<std::string>(0) + "\".",
            hint);
    check_owners(tmpl, roles, Among::other_roles);

    // A template that is being created has no id yet. A transaction that itself may have widened a closure must not use
    // or store a seal, because the epoch advances only when it commits. The seal is computed before the check, so a
    // change that commits during the check makes the stored seal obsolete.
    const bool may_be_sealed = tmpl.id != 0 && !commit_actions::closures_changed();
    const auto seal = seal_of(tmpl, closure);
    if (may_be_sealed && stored_seal(tmpl).load() == seal) return;
    check_objects(tmpl, roles, hint);
    if (may_be_sealed) stored_seal(tmpl).store(seal);
}

}  // namespace jit::templates
