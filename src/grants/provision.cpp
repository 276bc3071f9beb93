#include "jit_access/grants/provision.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/grants/temporary_login.hpp"
#include "jit_access/identity/second_factor.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/policy/conditions.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/policy/template_closure.hpp"
#include "jit_access/record/journal_file.hpp"
#include "jit_access/shared/commit_actions.hpp"

namespace jit::provision {

using core::Code;
using core::Failure;
using request::Request;
using templates::Template;

namespace {

std::string failure_message(const Request& request) { return "cannot activate request " + std::to_string(request.id); }

void check_requester(const Request& request) {
    // Without this check, the grant could go to another role, or to a role whose identity the approvers did not see.
    if (pg::role_name(request.requester) != request.requester_name)
        throw Failure(Code::wrong_state, failure_message(request),
                      "The requester's role \"" + request.requester_name + "\" was dropped or renamed.",
                      "Deny it; the person can ask again.");
    const auto held = pg::query_row(R"sql(
        SELECT count(*) FROM jit_access.request
        WHERE requester = $1 AND (state IN ('active', 'suspended') OR cleanup = 'due')
    )sql",
                                    {request.requester});
    if (held.value().get<std::int64_t>(0) >= static_cast<std::int64_t>(core::max_session_grants))
        throw Failure(Code::limit_exceeded, failure_message(request),
                      "\"" + request.requester_name + "\" holds " + std::to_string(core::max_session_grants) +
                          " grants, as many as a session can use.",
                      "Revoke one of them first.");
}

// ---- roles and memberships ---------------------------------------------------------------------------------------

void create_role(const std::string& name, const char* inherit) {
    if (pg::find_role(name))
        throw Failure(Code::wrong_state, "role \"" + name + "\" exists already",
                      "It was left by another installation or created by hand.", "Drop it, then approve again.");
    pg::command("CREATE ROLE " + pg::quote(name) +
                " NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS " + inherit);
}

// Before PostgreSQL 16, a membership has no options of its own; `options` is then left out.
void grant_membership(const std::string& role, const std::string& member, const char* options) {
    pg::command("GRANT " + pg::quote(role) + " TO " + pg::quote(member) +
                (pg::memberships_carry_options() ? std::string(" WITH ") + options : std::string()));
}

// Grants to `role` the privileges that the template's role holds itself on the relations of the scope and on their
// columns, and USAGE on their schemas.
void grant_scope(const pg::TextArray& scope, const Template& tmpl, const std::string& role) {
    contention::lock_for_access_lists(scope);
    for (const auto& relation : scope) {
        const auto grants = pg::query(R"sql(
            SELECT format('GRANT %s ON %s TO %I', x.privilege_type, c.oid::regclass, $3)
            FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) x
            WHERE c.oid = pg_catalog.to_regclass($1) AND x.grantee = $2
            UNION ALL
            SELECT format('GRANT %s (%I) ON %s TO %I', x.privilege_type, a.attname, a.attrelid::regclass, $3)
            FROM pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) x
            WHERE a.attrelid = pg_catalog.to_regclass($1) AND x.grantee = $2
            UNION ALL
            SELECT format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, $3)
            FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
                 pg_catalog.aclexplode(n.nspacl) x
            WHERE c.oid = pg_catalog.to_regclass($1) AND x.grantee = $2 AND x.privilege_type = 'USAGE'
        )sql",
                                      {relation, tmpl.role, role});
        if (grants.empty())
            throw Failure(Code::wrong_state, "the scope of the request is out of date",
                          "\"" + relation + "\" is gone or not in the template any more.",
                          "Deny it; the requester has to ask again.");
        for (const auto& row : grants) pg::change_access_lists(row.get<std::string>(0));
    }
}

// Makes the requester, or the temporary login, a member of the grant's role as the mode of the template says.
void connect_requester(const Request& request, const Template& tmpl, const std::string& role) {
    if (tmpl.login) return temporary_login::create_login(request.id, role);
    if (!tmpl.set_role) return grant_membership(role, request.requester_name, "INHERIT TRUE, SET TRUE");
    if (pg::memberships_carry_options())
        return grant_membership(role, request.requester_name, "INHERIT FALSE, SET TRUE");
    const auto gate = gate_role_name(request.id);
    create_role(gate, "NOINHERIT");
    pg::command("GRANT " + pg::quote(role) + " TO " + pg::quote(gate));
    pg::command("GRANT " + pg::quote(gate) + " TO " + pg::quote(request.requester_name));
}

// Creates jit_grant_<id> with its memberships. Returns the role.
pg::RoleId create_grant_role(const Request& request, const Template& tmpl) {
    const auto role = grant_role_name(request.id);
    create_role(role, "INHERIT");
    contention::lock_for_memberships(pg::find_role(core::marker_role).value());
    if (!request.scope) contention::lock_for_memberships(tmpl.role);
    // SET FALSE, because the requester must be able to become only the grant's role, not the marker or the template's
    // role.
    grant_membership(std::string(core::marker_role), role, "INHERIT TRUE, SET FALSE");
    if (request.scope)
        grant_scope(*request.scope, tmpl, role);
    else
        grant_membership(tmpl.role_name, role, "INHERIT TRUE, SET FALSE");
    connect_requester(request, tmpl, role);
    return pg::find_role(role).value();
}

// The requested duration, or less if the windows of the template close earlier.
std::int64_t granted_duration(const Request& request, const core::Ruling& ruling, std::int64_t now) {
    if (!ruling.windows_close_at) return request.duration;
    const auto duration = std::min(request.duration, *ruling.windows_close_at - now);
    if (duration > 0) return duration;
    throw Failure(Code::wrong_state, failure_message(request), "Its windows have closed just now.",
                  "Ask again with jit_request.");
}

}  // namespace

std::string grant_role_name(std::int64_t id) { return std::string(core::grant_role_prefix) + std::to_string(id); }
std::string gate_role_name(std::int64_t id) { return std::string(core::gate_role_prefix) + std::to_string(id); }

core::State activate(Request& request, const Template& tmpl, const core::Ruling& ruling, const std::string& actor) {
    check_requester(request);
    templates::check_closure(tmpl);
    const auto role = create_grant_role(request, tmpl);
    const auto conditions = conditions::for_template(tmpl);

    // The duration of the grant starts here. Both clocks are read after the slow part.
    const auto now = pg::both_clocks();
    const auto duration = granted_duration(request, ruling, now.wall);
    const pg::Moment ends{now.wall + duration, now.boot + duration};
    // A temporary login has no second factor. Its requester shows one when the password is issued.
    const bool steps_up = !tmpl.login && second_factor::demands(tmpl.second_factor, second_factor::Stage::first_use);
    Slot* slot = reserve_slot({.id = static_cast<std::uint64_t>(request.id),
                               .role = role.oid,
                               .requester = request.requester.oid,
                               .ends = ends,
                               .at_deadline = tmpl.at_deadline,
                               .grace = tmpl.grace_period.value_or(0),
                               .allows_code = tmpl.allow_code,
                               .allows_schema_change = tmpl.allow_schema_change,
                               .steps_up = steps_up,
                               .conditions = conditions});
    commit_actions::make_live(*slot);

    // The terms are copied from the template, so that a later change of the template does not affect the grant. The
    // caller holds the lock on the row.
    request.activated_at = pg::Instant{now.wall};
    request.ends_at = pg::Instant{ends.wall};
    pg::execute(R"sql(
        UPDATE jit_access.request
        SET activated_at = $2,
            ends_at = $3,
            ends_boot = $4,
            boot_id = $5,
            grant_role = $6,
            node = $7::uuid,
            at_deadline = $8::jit_access.at_deadline,
            grace_period = $9,
            steps_up = $10,
            conditions = pg_catalog.decode($11, 'hex')
        WHERE id = $1
    )sql",
                {request.id, *request.activated_at, *request.ends_at, ends.boot, pg::boot_id(), role, journal::node(),
                 std::string(core::to_string(tmpl.at_deadline)), pg::nullable_duration(tmpl.grace_period), steps_up,
                 pg::nullable(conditions::to_hex(conditions))});
    return request::advance(request, core::Event::activate, actor,
                            ruling.windows_close_at ? std::optional("it ends when its windows close, at " +
                                                                    core::format_moment(*ruling.windows_close_at))
                                                    : std::nullopt);
}

}  // namespace jit::provision
