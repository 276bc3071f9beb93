#include "jit_access/grants/provision.hpp"
#include "jit_access/policy/template_closure.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/grants/temporary_login.hpp"
#include "jit_access/identity/second_factor.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/policy/conditions.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/record/journal.hpp"
#include "jit_access/shared/commit_actions.hpp"

namespace jit::provision {

using core::Code;
using core::Failure;
using request::Request;
using templates::Template;

namespace {

void check_requester(const Request& request) {
    const std::string what = "cannot activate request " + std::to_string(request.id);
    if (pg::role_name(request.requester) != request.requester_name)
        throw Failure(Code::wrong_state, what,
                      "The role \"" + request.requester_name + "\" that asked was dropped or renamed.",
                      "Deny it; the person can ask again.");
    const auto live = pg::query_row(
        "SELECT count(*) FROM jit_access.request WHERE requester = $1 AND (state IN ('active', 'suspended') "
        "OR cleanup = 'due')",
        {request.requester});
    if (live.value().get<std::int64_t>(0) >= static_cast<std::int64_t>(core::max_session_grants))
        throw Failure(Code::limit_exceeded, what,
                      "\"" + request.requester_name + "\" holds " + std::to_string(core::max_session_grants) +
                          " grants, as many as a session can use.",
                      "Revoke one of them first.");
}

std::string options(const char* text) {
    return pg::memberships_carry_options() ? std::string(" WITH ") + text : std::string();
}

void make_role(const std::string& name, bool inherit) {
    if (pg::find_role(name))
        throw Failure(Code::wrong_state, "role \"" + name + "\" exists already",
                      "It is left from another installation or made by hand.", "Drop it, then approve again.");
    pg::command("CREATE ROLE " + pg::quote(name) +
                " NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS " +
                (inherit ? "INHERIT" : "NOINHERIT"));
}

// What the template's role holds itself on the relations of the scope, and the way into their schemas.
void give_scope(const pg::TextArray& scope, const Template& of, const std::string& role) {
    // Two who change the access list of one table at once: the second would get an error of the catalogs.
    pg::command("LOCK TABLE jit_access.template_person IN SHARE UPDATE EXCLUSIVE MODE");
    for (const auto& relation : scope) {
        const auto rows = pg::query(
            "SELECT format('GRANT %s ON %s TO %I', x.privilege_type, c.oid::regclass, $3) FROM pg_catalog.pg_class c, "
            "pg_catalog.aclexplode(c.relacl) x WHERE c.oid = pg_catalog.to_regclass($1) AND x.grantee = $2 UNION ALL "
            "SELECT format('GRANT %s (%I) ON %s TO %I', x.privilege_type, a.attname, a.attrelid::regclass, $3) "
            "FROM pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) x WHERE a.attrelid = "
            "pg_catalog.to_regclass($1) "
            "AND x.grantee = $2 UNION ALL "
            "SELECT format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, $3) FROM pg_catalog.pg_class c JOIN "
            "pg_catalog.pg_namespace n "
            "ON n.oid = c.relnamespace, pg_catalog.aclexplode(n.nspacl) x WHERE c.oid = pg_catalog.to_regclass($1) "
            "AND x.grantee = $2 AND x.privilege_type = 'USAGE'",
            {relation, of.role, role});
        if (rows.empty())
            throw Failure(Code::wrong_state, "the scope of the request is out of date",
                          "\"" + relation + "\" is gone or not in the template any more.",
                          "Deny it; the requester has to ask again.");
        for (const auto& row : rows) pg::change_access_lists(row.get<std::string>(0));
    }
}

void connect_requester(const Request& request, const Template& of, const std::string& role) {
    if (of.login) return temporary_login::create_login(request.id, role);
    const std::string requester = pg::quote(request.requester_name);
    if (!of.set_role) {
        pg::command("GRANT " + pg::quote(role) + " TO " + requester + options("INHERIT TRUE, SET TRUE"));
        return;
    }
    if (pg::memberships_carry_options()) {
        pg::command("GRANT " + pg::quote(role) + " TO " + requester + options("INHERIT FALSE, SET TRUE"));
        return;
    }
    const auto gate = gate_role_name(request.id);
    make_role(gate, false);
    pg::command("GRANT " + pg::quote(role) + " TO " + pg::quote(gate));
    pg::command("GRANT " + pg::quote(gate) + " TO " + requester);
}

// The duration, or what is left until the windows of the template close.
std::int64_t time_left(const Request& request, const core::Ruling& ruling, std::int64_t now) {
    if (!ruling.ends_by) return request.duration;
    const auto left = std::min(request.duration, *ruling.ends_by - now);
    if (left > 0) return left;
    throw Failure(Code::wrong_state, "cannot activate request " + std::to_string(request.id),
                  "Its windows have closed just now.", "Ask again with jit_request.");
}

}  // namespace

std::string grant_role_name(std::int64_t id) { return std::string(core::grant_role_prefix) + std::to_string(id); }
std::string gate_role_name(std::int64_t id) { return std::string(core::gate_role_prefix) + std::to_string(id); }

core::State activate(Request& request, const Template& of, const core::Ruling& ruling, const std::string& by) {
    check_requester(request);
    templates::check_closure(of);

    const auto role = grant_role_name(request.id);
    make_role(role, true);
    contention::lock_for_memberships(pg::find_role(core::marker_role).value());
    if (!request.scope) contention::lock_for_memberships(of.role);
    pg::command("GRANT " + pg::quote(core::marker_role) + " TO " + pg::quote(role) +
                options("INHERIT TRUE, SET FALSE"));
    if (request.scope)
        give_scope(*request.scope, of, role);
    else
        pg::command("GRANT " + pg::quote(of.role_name) + " TO " + pg::quote(role) + options("INHERIT TRUE, SET FALSE"));
    connect_requester(request, of, role);

    // The clock starts here: both clocks are read once the work is done.
    const auto role_id = pg::find_role(role).value();
    const auto conditions = conditions::for_template(of);
    const auto now = pg::both_clocks();
    const auto lasts = time_left(request, ruling, now.wall);
    // A login of its own is nobody's who could step up: its requester does when he is told the password.
    const bool steps_up = !of.login && second_factor::demands(of.second_factor, second_factor::Stage::first_use);
    const pg::Moment ends{now.wall + lasts, now.boot + lasts};
    Slot* slot = reserve_slot({.id = static_cast<std::uint64_t>(request.id),
                               .role = role_id.oid,
                               .requester = request.requester.oid,
                               .ends = ends,
                               .at_deadline = of.at_deadline,
                               .grace = of.grace_period.value_or(0),
                               .allows_code = of.allow_code,
                               .allows_schema_change = of.allow_schema_change,
                               .steps_up = steps_up,
                               .conditions = conditions});
    commit_actions::make_live(*slot);

    request.activated_at = pg::Instant{now.wall};
    request.ends_at = pg::Instant{ends.wall};
    pg::execute(
        "UPDATE jit_access.request SET activated_at = $2, ends_at = $3, ends_boot = $4, boot_id = $5, grant_role = $6, "
        "node = $7::uuid, at_deadline = $8::jit_access.at_deadline, grace_period = $9, steps_up = $10, conditions = "
        "pg_catalog.decode($11, 'hex') WHERE id = $1",
        {request.id, *request.activated_at, *request.ends_at, ends.boot, pg::boot_id(), role_id, journal::node(),
         std::string(core::to_string(of.at_deadline)), pg::nullable_duration(of.grace_period), steps_up,
         pg::nullable(conditions::to_hex(conditions))});
    return request::advance(
        request, core::Event::activate, by,
        ruling.ends_by ? std::optional("it ends when its windows close, at " + core::format_moment(*ruling.ends_by))
                       : std::nullopt);
}

}  // namespace jit::provision
