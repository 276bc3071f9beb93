#include "jit_access/policy/template_closure.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::templates {

namespace {

// ---- queries over the closure: $1 has its roles, the template's own role first -----------------------------------

// The first role that no template may reach, and why: a superuser, a role with another powerful attribute such as
// CREATEROLE, a login, a predefined role that is not listed, or a role of this extension. Returns a row without a fault
// if there is none, and no row if the roles are gone.
constexpr const char* forbidden_role = R"sql(
    WITH closure (role) AS (SELECT pg_catalog.unnest($1::pg_catalog.oid[]))
    SELECT a.rolname::text,
           CASE WHEN a.rolsuper THEN 'is a superuser'
                WHEN a.rolcreaterole THEN 'has CREATEROLE'
                WHEN a.rolcreatedb THEN 'has CREATEDB'
                WHEN a.rolreplication THEN 'has REPLICATION'
                WHEN a.rolbypassrls THEN 'has BYPASSRLS'
                WHEN a.rolname ~ '^pg_' AND NOT EXISTS (SELECT FROM jit_access.template_limits l
                                                        WHERE l.kind = 'role ' || a.rolname::text)
                     THEN 'may not be given by a template'
                WHEN a.rolname ~ '^jit_(grant|gate|login)_' THEN 'belongs to another grant'
                WHEN a.rolname ~ '^jit_template_' AND a.oid <> ($1::pg_catalog.oid[])[1]
                     THEN 'belongs to another template'
                WHEN a.rolname ~ '^jit_' AND a.oid <> ($1::pg_catalog.oid[])[1] THEN 'may not be given by a template'
                WHEN a.rolcanlogin THEN 'can log in' END AS fault
    FROM closure c JOIN pg_catalog.pg_authid a ON a.oid = c.role
    ORDER BY 2 NULLS LAST
    LIMIT 1
)sql";

// Finds a membership of a role in the closure that the role may grant to others.
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

// The privileges that the roles reach and that not every template may give. $2: whether the template is being defined;
// $3: whether a superuser has defined it; $4: whether it may change the schema.
constexpr const char* refused_privilege = R"sql(
    SELECT p.privilege, p.object, p.kind, p.grantable, p.by_superuser IS NOT NULL AS may_be_given,
           p.by_superuser AND NOT $3 AS needs_superuser
    FROM jit_access.refused_privileges($1::pg_catalog.oid[], $2) p
    WHERE p.grantable OR p.by_superuser IS NULL OR p.by_superuser AND NOT $3 OR p.needs_schema_change AND NOT $4
    LIMIT 1
)sql";

core::Failure refusal(const Template& tmpl, const std::string& detail, const std::string& hint) {
    return {core::Code::privilege_refused, "template \"" + tmpl.name + "\" reaches more than a template may give",
            detail, hint};
}

// ---- the seal ----------------------------------------------------------------------------------------------------

// Reading every access list takes time in proportion to the tables of the template, and the duration of an activation
// must not depend on that. A template that passed the check is therefore sealed: shared memory keeps a hash of the
// values on which the result depends. These are the roles of the closure, and an epoch that advances whenever a command
// could have given one of them something that a template may not give, or could have changed what an object is
// (commit_actions::change_closures). The checks whose cost does not depend on the number of tables run every time.
std::uint64_t seal_of(const Template& tmpl, std::vector<pg::RoleId> roles) {
    std::uint64_t seal = 14695981039346656037U;  // FNV-1a, 64 bits
    const auto add = [&](std::uint64_t value) {
        for (int i = 0; i < 8; ++i) seal = (seal ^ ((value >> (8 * i)) & 0xFF)) * 1099511628211U;
    };
    add(shared_state->closure_epoch.load());
    add(static_cast<std::uint64_t>(tmpl.id));
    add(tmpl.allow_schema_change ? 1 : 0);
    add(tmpl.defined_by_superuser ? 1 : 0);
    std::sort(roles.begin(), roles.end(), [](pg::RoleId a, pg::RoleId b) { return a.oid < b.oid; });
    for (const auto role : roles) add(role.oid);
    return seal;
}

// Two templates may share a place. They then overwrite each other's seals, but neither can use the seal of the other,
// because a seal covers the template's id.
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

// Describes for a message what the role has.
std::string describe(const std::string& privilege, const std::string& object, const std::string& kind) {
    const auto what = "\"" + object + "\"";
    if (privilege == "MEMBER") return "It is a member of " + what;
    if (privilege == "any") return "It has privileges in the database " + what;
    // The kind is not named for tables, schemas and databases. For other objects, it is the reason for the refusal.
    const auto named = kind == "table" || kind == "schema" || kind == "database" ? what : what + " (" + kind + ")";
    return privilege == "OWNER" ? "It owns " + named : "It holds " + privilege + " on " + named;
}

enum class Occasion { definition, activation };

// The expensive part: skipped while the template is sealed.
void check_objects(const Template& tmpl, const pg::TextArray& roles, const std::string& hint, Occasion occasion) {
    check_owners(tmpl, roles, Among::own_role);
    const auto row = pg::query_row(refused_privilege, {roles, occasion == Occasion::definition,
                                                       tmpl.defined_by_superuser, tmpl.allow_schema_change});
    if (!row) return;
    const auto has = describe(row->get<std::string>(0), row->get<std::string>(1), row->get<std::string>(2));
    if (row->get<bool>(3)) throw refusal(tmpl, has + " with GRANT OPTION.", hint);
    if (!row->get<bool>(4)) throw refusal(tmpl, has + ", which no template may give.", hint);
    if (row->get<bool>(5))
        throw refusal(tmpl, has + ", which only a template that a superuser defines may give.",
                      "Ask a superuser, or leave it out of the template.");
    throw refusal(tmpl, has + ", which makes objects that outlive a grant.",
                  "Declare the template with allow_schema_change => true and mode => 'set_role'.");
}

pg::TextArray oids_of(const std::vector<pg::RoleId>& closure) {
    pg::TextArray roles;
    for (const auto& role : closure) roles.push_back(std::to_string(role.oid));
    return roles;
}

// The part that runs each time: its cost does not depend on the number of tables.
void check_roles(const Template& tmpl, const pg::TextArray& roles, const std::string& hint) {
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
}

void check(const Template& tmpl, Occasion occasion) {
    const std::string hint = "Take it away from the role, or leave it out of the template.";
    const auto closure = pg::closure(tmpl.role);
    const auto roles = oids_of(closure);
    check_roles(tmpl, roles, hint);

    // A template that is being created has no id yet. A transaction that itself may have widened a closure must not use
    // or store a seal: the epoch advances only when it commits. The seal is computed before the check, so a change that
    // commits during the check makes the stored seal obsolete.
    const bool may_be_sealed = occasion == Occasion::activation && tmpl.id != 0 && !commit_actions::closures_changed();
    const auto seal = seal_of(tmpl, closure);
    if (may_be_sealed && stored_seal(tmpl).load() == seal) return;
    check_objects(tmpl, roles, hint, occasion);
    if (may_be_sealed) stored_seal(tmpl).store(seal);
}

}  // namespace

void forget_closures() noexcept { shared_state->closure_epoch.fetch_add(1); }

void check_definition(const Template& tmpl) { check(tmpl, Occasion::definition); }
void check_closure(const Template& tmpl) { check(tmpl, Occasion::activation); }

pg::TextArray superuser_only(const Template& tmpl) {
    pg::TextArray items;
    if (!tmpl.defined_by_superuser) return items;
    for (const auto& row : pg::query(R"sql(
             SELECT CASE p.privilege
                        WHEN 'MEMBER' THEN p.object
                        WHEN 'any' THEN 'privileges in the database ' || p.object
                        ELSE p.privilege || ' ON ' || p.object || ' (' || p.kind || ')' END COLLATE "C"
             FROM jit_access.refused_privileges($1::pg_catalog.oid[], true) p
             WHERE p.by_superuser
             ORDER BY 1
         )sql",
                                     {oids_of(pg::closure(tmpl.role))}))
        items.push_back(row.get<std::string>(0));
    return items;
}

}  // namespace jit::templates
