#include "jit_access/rehearsal/drill_setup.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/policy/template.hpp"
#include "jit_access/rehearsal/drill.hpp"
#include "jit_access/rehearsal/drill_actor.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::drill {

using core::Code;
using core::Failure;

namespace {

// If a role of that name was created beforehand, its creator could act as the service identity, so such a role is
// refused.
void make_login(const std::string& name) {
    if (!pg::find_role(name))
        pg::command("CREATE ROLE " + pg::quote(name) +
                    " LOGIN CONNECTION LIMIT 0 PASSWORD NULL NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION "
                    "NOBYPASSRLS INHERIT");
    const auto role = pg::find_role(name).value();
    const auto is_clean = pg::query_row(R"sql(
        SELECT rolcanlogin AND rolinherit AND rolconnlimit = 0 AND rolpassword IS NULL
               AND NOT (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members WHERE roleid = $1 OR member = $1)
        FROM pg_catalog.pg_authid
        WHERE oid = $1)sql",
                                        {role});
    if (!is_clean.value().get<bool>(0))
        throw Failure(Code::duplicate_template, "role \"" + name + "\" exists and is not what a drill needs",
                      "It has a password, connections, attributes, members or memberships, or a drill has not been "
                      "cleaned up yet.",
                      "Examine it, then drop it; it will be created again.");
    // PUBLIC may have lost CONNECT on the database.
    const auto may_connect =
        pg::query_row("SELECT pg_catalog.has_database_privilege($1, pg_catalog.current_database(), 'CONNECT')", {role});
    if (!may_connect.value().get<bool>(0))
        pg::change_access_lists("GRANT CONNECT ON DATABASE " + pg::quote(pg::database_name()) + " TO " +
                                pg::quote(name));
}

// The schema and everything in it must belong to superusers, because code that another user puts there would run as a
// service identity.
void make_canary() {
    const auto schema = pg::query_row(R"sql(
        SELECT (SELECT a.rolsuper FROM pg_catalog.pg_authid a WHERE a.oid = n.nspowner)
               AND NOT EXISTS (
                   SELECT FROM pg_catalog.pg_class c
                   WHERE c.relnamespace = n.oid
                     AND NOT (SELECT a.rolsuper FROM pg_catalog.pg_authid a WHERE a.oid = c.relowner))
               AND NOT EXISTS (
                   SELECT FROM pg_catalog.aclexplode(n.nspacl) x
                   JOIN pg_catalog.pg_authid a ON a.oid = x.grantee
                   WHERE x.privilege_type = 'CREATE' AND NOT a.rolsuper),
               pg_catalog.to_regclass('jit_drill.canary') IS NOT NULL
        FROM pg_catalog.pg_namespace n
        WHERE n.nspname = 'jit_drill')sql");
    if (schema && !schema->get<bool>(0))
        throw Failure(Code::duplicate_template, "schema \"jit_drill\" exists and is not what a drill needs",
                      "A role that is not a superuser owns it or an object in it, or may create objects there.",
                      "Examine it, then drop it; it will be created again.");
    if (!schema) pg::command("CREATE SCHEMA jit_drill");
    if (schema && schema->get<bool>(1)) return;
    pg::command("CREATE TABLE jit_drill.canary AS SELECT true AS sings");
    pg::command("COMMENT ON TABLE jit_drill.canary IS 'read by the drills of jit_access, under a grant'");
}

core::IntervalParts seconds(std::int64_t count) { return {.microseconds = count * core::us_per_second}; }

templates::TemplateArguments canary_template() {
    constexpr std::int64_t time_to_decide = 60;
    templates::TemplateArguments arguments;
    arguments.name = std::string(core::drill_template);
    arguments.privileges = pg::TextArray{"USAGE ON SCHEMA jit_drill", "SELECT ON jit_drill.canary"};
    arguments.requesters = pg::TextArray{actor_logins[0]};
    arguments.approvers = pg::TextArray{actor_logins[1], actor_logins[2]};
    arguments.approvals_needed = 2;
    arguments.default_duration = core::IntervalParts{.microseconds = grant_duration};
    arguments.max_duration = core::IntervalParts{.microseconds = grant_duration};
    arguments.time_to_decide = seconds(time_to_decide);
    arguments.at_deadline = "cancel";
    arguments.risk = "high";  // so that no rule approves it without the approvers
    arguments.description = "the canary of the drill, see jit_drill()";
    return arguments;
}

void make_template(const principal::Origin& origin) {
    const auto arguments = canary_template();
    if (pg::query_row("SELECT 1 FROM jit_access.template WHERE name = $1 AND dropped_at IS NULL", {*arguments.name})) {
        templates::alter(arguments, origin);
        return;
    }
    templates::create(arguments, origin);
}

}  // namespace

void set_up(const principal::Origin& origin) {
    const auto caller = principal::caller();
    principal::require_admin(caller);
    principal::require_own_statement(caller, origin, "the drill is set up");
    if (pg::process_exists(shared_state->drill.conductor_pid.load()))
        throw Failure(Code::wrong_state, "a drill is running", "Its objects cannot be changed while it runs.",
                      "Try again in a moment.");
    for (const auto* login : actor_logins) make_login(login);
    make_canary();
    make_template(origin);
}

}  // namespace jit::drill
