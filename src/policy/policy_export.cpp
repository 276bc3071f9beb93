#include "jit_access/policy/policy_export.hpp"

#include "jit_access/identity/principal.hpp"
#include "jit_access/policy/policy_file.hpp"
#include "jit_access/policy/template_settings.hpp"

namespace jit::policy_file {

namespace {

// The columns of a template are the arguments of jit_create_template, so that the import can pass them on.
std::string template_documents() {
    return R"sql(
        SELECT name, description, mode, CASE WHEN NOT role_created THEN role_name END AS role,
               allow_schema_change, allow_code, privileges, at_deadline, object_owner_name AS object_owner, )sql" +
           templates::participant_columns() + templates::setting_names() + R"sql(
        FROM jit_access.template t
        WHERE dropped_at IS NULL AND name <> 'jit_drill'
    )sql";
}

}  // namespace

std::string export_policy() {
    principal::require_auditor(principal::caller());
    const std::string sql = std::string(R"sql(
        SELECT pg_catalog.jsonb_build_object(
            'people', (
                SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', name, 'logins', logins)
                                                     ORDER BY name), '[]')
                FROM (SELECT name, array_agg(login_name ORDER BY login_name) AS logins
                      FROM jit_access.person GROUP BY name) p),
            'windows', (
                SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(w) ORDER BY w ->> 'name'), '[]')
                FROM ()sql") +
                            window_documents +
                            R"sql() v (w)),
            'templates', (
                SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(pg_catalog.to_jsonb(x))
                                                     ORDER BY name), '[]')
                FROM ()sql" +
                            template_documents() +
                            R"sql() x),
            'rules', (
                SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(r) ORDER BY r ->> 'name'), '[]')
                FROM ()sql" +
                            rule_documents +
                            R"sql() v (r)))
    )sql";
    return pg::query_row(sql.c_str()).value().get<std::string>(0);
}

}  // namespace jit::policy_file
