// CREATE EXTENSION: refuses an installation in which the extension could not work, and creates the group roles.
#include "jit_access/api/support.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/record/identifier.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::api {

namespace {

void check_database() {
    if (pg::in_control_database()) return;
    throw Failure(Code::not_here, "jit_access can only be created in its control database",
                  std::string("jit_access.database is \"") + settings::database + "\", this is \"" +
                      pg::database_name() + "\". Grants hold in every database of the cluster all the same.",
                  std::string("Connect to \"") + settings::database +
                      "\", or change jit_access.database and restart the server.");
}

// Creates a group role, or accepts an existing one without attributes, members and memberships. Members from before the
// installation would be administrators or auditors although no administrator has granted that. The marker may have
// members, for example roles of grants from a dump of roles. Because of this membership, the server refuses the use of
// these roles until the worker removes them.
void create_group(std::string_view name) {
    const auto role = pg::find_role(name);
    if (!role) {
        pg::command("CREATE ROLE " + pg::quote(name) + " NOLOGIN");
        return;
    }
    const auto row = pg::query_row(R"sql(
        SELECT NOT (rolsuper OR rolcanlogin OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
               AND NOT EXISTS (SELECT
                               FROM pg_catalog.pg_auth_members
                               WHERE (roleid = $1 AND NOT $2) OR member = $1)
        FROM pg_catalog.pg_authid
        WHERE oid = $1)sql",
                                   {*role, name == core::marker_role});
    const bool is_empty = row.value().get<bool>(0);
    if (is_empty) return;
    throw Failure(Code::duplicate_template, "role \"" + std::string(name) + "\" exists and is not empty",
                  "It has members, memberships or attributes, which would have an effect after the installation.",
                  "Inspect it, then drop it or revoke them.");
}

// Functions and types with a reserved name were created before the library refused them (guard::check_reserved_name),
// and could be called in place of the extension's functions.
void check_names() {
    const auto row = pg::query_row(R"sql(
        SELECT 'function ' || p.oid::pg_catalog.regprocedure::text
        FROM pg_catalog.pg_proc p
        WHERE p.proname LIKE 'jit\_%'
        UNION ALL
        SELECT 'type ' || t.oid::pg_catalog.regtype::text
        FROM pg_catalog.pg_type t
        WHERE t.typname LIKE 'jit\_%' AND t.typrelid = 0
        LIMIT 1)sql");
    if (row)
        throw Failure(Code::guarded, row->get<std::string>(0) + " is in the way",
                      "Calls of the functions of jit_access could reach it instead.", "Drop or rename it first.");
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

PG_FUNCTION_INFO_V1(jit_check_installation);
Datum jit_check_installation(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    return pg::guarded([] {
        require_primary();
        check_database();
        check_names();
        for (const auto name : {core::admin_role, core::auditor_role, core::monitor_role, core::marker_role})
            create_group(name);
        identifier::continue_after_roles();
        return Datum{0};
    });
}

}  // extern "C"
#pragma GCC visibility pop

}  // namespace jit::api
