#include "jit_access/grants/temporary_login.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/grants/request.hpp"
#include "jit_access/identity/second_factor.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/credentials.hpp"
#include "jit_access/shared/control_event.hpp"

namespace jit::temporary_login {

using core::Code;
using core::Failure;

namespace {

std::string literal(pg::Instant at) {
    return pg::query_row("SELECT pg_catalog.quote_literal($1)", {at}).value().get<std::string>(0);
}

Failure no_credentials(Code code, std::int64_t id, const std::string& detail, const std::string& hint) {
    return {code, "there are no credentials for request " + std::to_string(id), detail, hint};
}

}  // namespace

std::string login_role_name(std::int64_t id) { return std::string(core::login_role_prefix) + std::to_string(id); }

void create_login(std::int64_t id, const std::string& grant_role) {
    const auto name = login_role_name(id);
    if (pg::find_role(name))
        throw Failure(Code::wrong_state, "role \"" + name + "\" exists already",
                      "It was left by another installation or created by hand.", "Drop it, then approve again.");
    pg::command("CREATE ROLE " + pg::quote(name) +
                " NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT");
    pg::command("GRANT " + pg::quote(grant_role) + " TO " + pg::quote(name) +
                (pg::memberships_carry_options() ? " WITH INHERIT TRUE, SET TRUE" : ""));
}

Credentials issue_credentials(std::int64_t id, const principal::Origin& origin) {
    const auto me = principal::caller();
    const auto request = request::lock_visible(me, id);
    const auto tmpl = templates::lock(request.template_id);
    if (request.requester != me.role)
        throw no_credentials(Code::not_permitted, id, "\"" + me.name + "\" has not asked for it.",
                             "Only the requester can get them.");
    if (!tmpl.login)
        throw no_credentials(Code::wrong_state, id, "Template \"" + tmpl.name + "\" is not of mode login.",
                             "The grant is used by your own login.");
    if (request.state != core::State::active || request.ends_at->us <= pg::wall_clock())
        throw no_credentials(Code::wrong_state, id, "It is " + std::string(core::to_string(request.state)) + ".",
                             "Ask for them while the grant is active.");
    const auto login = login_role_name(id);
    const auto row = pg::query_row("SELECT rolcanlogin FROM pg_catalog.pg_authid WHERE rolname = $1", {login});
    if (!row) throw no_credentials(Code::wrong_state, id, "Role \"" + login + "\" was dropped by hand.", "Ask again.");
    // The role gets LOGIN together with its password, so LOGIN shows that the credentials were issued.
    if (row->get<bool>(0))
        throw no_credentials(Code::wrong_state, id, "They have been shown already and are not stored.",
                             "Give the grant back with jit_revoke, and ask again.");
    second_factor::require(me, second_factor::Stage::first_use, tmpl.second_factor);
    principal::require_own_statement(me, origin, "credentials of request " + std::to_string(id) + " are shown");

    Credentials credentials{login, pg::random_password(), *request.ends_at};
    pg::command("ALTER ROLE " + pg::quote(login) + " LOGIN PASSWORD '" + pg::scram_verifier(credentials.password) +
                "' VALID UNTIL " + literal(credentials.valid_until) + " CONNECTION LIMIT " +
                std::to_string(tmpl.login_connections));
    control_event::write("credentials issued", id, me.name, {{"login", login}});
    return credentials;
}

void move_deadline(std::int64_t id, pg::Instant ends) {
    const auto login = login_role_name(id);
    if (pg::find_role(login)) pg::command("ALTER ROLE " + pg::quote(login) + " VALID UNTIL " + literal(ends));
}

void disable_login(std::int64_t id) {
    const auto login = login_role_name(id);
    const auto role = pg::find_role(login);
    if (!role) return;
    pg::command("ALTER ROLE " + pg::quote(login) + " NOLOGIN PASSWORD NULL");
    pg::query(R"sql(
        SELECT pg_catalog.pg_terminate_backend(pid)
        FROM pg_catalog.pg_stat_activity
        WHERE usesysid = $1
    )sql",
              {*role});
}

}  // namespace jit::temporary_login
