#include "jit_access/identity/principal.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/enforcement/denied_attempt.hpp"
#include "jit_access/identity/service_identity.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/shared/control_event.hpp"

namespace jit::principal {

using core::Code;
using core::Failure;
using pg::RoleId;

namespace {

bool belongs_to_grant(RoleId role) {
    const auto name = pg::role_name(role).value_or("");
    return name.starts_with(core::grant_role_prefix) || name.starts_with(core::gate_role_prefix);
}

// Returns true if every login is a member of the group. Superusers, temporary logins and the logins of the drill are
// ignored.
bool contains_every_login(RoleId group) {
    constexpr const char* sql = R"sql(
        WITH RECURSIVE members (role) AS (
            SELECT $1
            UNION
            SELECT x.member
            FROM pg_catalog.pg_auth_members x
            JOIN members m ON x.roleid = m.role
        )
        SELECT NOT EXISTS (
            SELECT
            FROM pg_catalog.pg_authid a
            WHERE a.rolcanlogin
                AND NOT a.rolsuper
                AND NOT starts_with(a.rolname, $2)
                AND NOT starts_with(a.rolname, $3)
                AND a.oid NOT IN (SELECT role FROM members)
        )
    )sql";
    return pg::query_row(sql, {group, std::string(core::login_role_prefix), std::string(core::drill_role_prefix)})
        .value()
        .get<bool>(0);
}

std::vector<pg::Row> listed_roles(std::int64_t template_id, const char* part) {
    constexpr const char* sql = R"sql(
        SELECT role
        FROM jit_access.template_person
        WHERE template_id = $1 AND part = $2
        ORDER BY role_name, role
    )sql";
    return pg::query(sql, {template_id, std::string(part)});
}

// Prefixes of a core::PersonId, so that the name of a declared person never equals the OID of a login.
constexpr std::string_view declared_prefix = "person ";
constexpr std::string_view login_prefix = "login ";

}  // namespace

Person session_person() {
    const RoleId role = pg::session_user();
    return {role, pg::role_name(role).value_or("")};
}

Person caller() {
    if (!pg::is_client_statement() && !service_identity::is_actor())
        denied_attempt::record_and_throw({Code::not_permitted, "requests and decisions need a client session",
                                          "They are not made by background processes or during maintenance.",
                                          "Call the function from a session of your own."});
    auto me = session_person();
    if (me.name.starts_with(core::login_role_prefix))
        denied_attempt::record_and_throw({Code::not_permitted, "a temporary login cannot make requests or decisions",
                                          "\"" + me.name + "\" belongs to a grant and is dropped with it.",
                                          "Use a login of your own."});
    return me;
}

void require_own_statement(const Person& person, const Origin& origin, const std::string& action) {
    if (!origin.indirect_reason || service_identity::is_actor()) return;
    denied_attempt::record_and_throw({Code::not_own_statement,
                                      action + " only by a statement that \"" + person.name + "\" has sent",
                                      *origin.indirect_reason,
                                      "Send the call as a SELECT of its own, over nothing but views of jit_access. If "
                                      "you have not sent it, code that you ran tried to act in your name."});
}

bool is_admin(const Person& person) {
    if (pg::is_superuser(person.role)) return true;
    const auto admin = pg::find_role(core::admin_role);
    return admin && pg::is_member(person.role, *admin);
}

bool may_audit(RoleId role) {
    const auto auditor = pg::find_role(core::auditor_role);
    return is_admin({role, {}}) || (auditor && pg::is_member(role, *auditor));
}

bool may_monitor(RoleId role) {
    const auto monitor = pg::find_role(core::monitor_role);
    return (monitor && pg::is_member(role, *monitor)) || may_audit(role);
}

void require_admin(const Person& person) {
    if (is_admin(person)) return;
    throw Failure(Code::not_permitted, "only an administrator of jit_access may do this",
                  "\"" + person.name + "\" is neither a superuser nor a member of jit_admin.",
                  "Ask a superuser for GRANT jit_admin, or ask an administrator to do it.");
}

void require_auditor(const Person& person) {
    if (may_audit(person.role)) return;
    throw Failure(Code::not_permitted, "only an auditor of jit_access may do this",
                  "\"" + person.name + "\" is neither a superuser nor a member of jit_auditor or jit_admin.",
                  "Ask a superuser for GRANT jit_auditor.");
}

core::PersonId person_of(const Person& login) {
    if (const auto row = pg::query_row("SELECT name FROM jit_access.person WHERE login = $1", {login.role}))
        return std::string(declared_prefix) + row->get<std::string>(0);
    return std::string(login_prefix) + std::to_string(login.role.oid);
}

pg::TextArray logins_of(const core::PersonId& person) {
    if (person.starts_with(login_prefix)) return {person.substr(login_prefix.size())};
    pg::TextArray logins;
    for (const auto& row : pg::query("SELECT login::text FROM jit_access.person WHERE name = $1",
                                     {person.substr(declared_prefix.size())}))
        logins.push_back(row.get<std::string>(0));
    return logins;
}

void set_person(const std::optional<std::string>& name, const std::optional<pg::TextArray>& logins,
                const Origin& origin) {
    const auto me = caller();
    require_admin(me);
    if (!name)
        throw Failure(Code::invalid_argument, "invalid name", "It is NULL.",
                      "Name the person as colleagues know them.");
    if (const auto fault = core::fault_in_text(*name, core::max_person_name))
        throw Failure(Code::invalid_argument, "invalid name", *fault, "Write one line of plain text.");
    const auto people = roles_by_name(logins.value_or(pg::TextArray{}), "logins");
    for (const auto& login : people) {
        const auto other =
            pg::query_row("SELECT name FROM jit_access.person WHERE login = $1 AND name <> $2", {login.role, *name});
        if (other)
            throw Failure(Code::invalid_argument, "invalid logins",
                          "\"" + login.name + "\" belongs to \"" + other->get<std::string>(0) + "\" already.",
                          "A login belongs to one person; remove it from the other person first.");
    }
    require_own_statement(me, origin, "person \"" + *name + "\" is declared");
    pg::execute("DELETE FROM jit_access.person WHERE name = $1", {*name});
    std::string list;
    for (const auto& login : people) {
        pg::execute("INSERT INTO jit_access.person (login, login_name, name) VALUES ($1, $2, $3)",
                    {login.role, login.name, *name});
        list += (list.empty() ? "" : ", ") + login.name;
    }
    control_event::write("person declared", std::nullopt, me.name, {{"person", *name}, {"logins", list}});
}

bool is_member_without_grant(RoleId member, RoleId group) {
    if (!pg::is_member(member, group)) return false;
    std::vector<RoleId> reached{member};
    for (std::size_t i = 0; i < reached.size(); ++i) {
        if (reached[i] == group) return true;
        for (const RoleId next : pg::memberships(reached[i]))
            if (std::find(reached.begin(), reached.end(), next) == reached.end() && !belongs_to_grant(next))
                reached.push_back(next);
    }
    return false;
}

std::string display_name(const Person& login) {
    const auto person = person_of(login);
    return person.starts_with(declared_prefix) ? person.substr(declared_prefix.size()) : login.name;
}

bool may_request(const Person& person, std::int64_t template_id) {
    const auto roles = listed_roles(template_id, "requester");
    return std::any_of(roles.begin(), roles.end(),
                       [&](const pg::Row& row) { return is_member_without_grant(person.role, row.get<RoleId>(0)); });
}

bool is_listed_through(const Person& person, RoleId role) {
    return role == person.role || (is_member_without_grant(person.role, role) && !contains_every_login(role));
}

bool may_break_glass(const Person& person, std::int64_t template_id) {
    const auto roles = listed_roles(template_id, "responder");
    return std::any_of(roles.begin(), roles.end(),
                       [&](const pg::Row& row) { return is_listed_through(person, row.get<RoleId>(0)); });
}

std::uint64_t approver_groups(const Person& person, std::int64_t template_id) {
    std::uint64_t groups = 0;
    std::uint64_t bit = 1;
    for (const auto& row : listed_roles(template_id, "approver")) {
        if (is_listed_through(person, row.get<RoleId>(0))) groups |= bit;
        bit <<= 1;
    }
    return groups;
}

bool may_decide(const Person& person, std::int64_t template_id) { return approver_groups(person, template_id) != 0; }

bool may_see_template(const Person& person, std::int64_t template_id) {
    return may_request(person, template_id) || may_decide(person, template_id) ||
           may_break_glass(person, template_id) || may_audit(person.role);
}

void require_approver(const Person& person, std::int64_t template_id, const std::string& template_name,
                      const std::string& action) {
    if (may_decide(person, template_id)) return;
    throw Failure(Code::not_permitted, "\"" + person.name + "\" may not " + action,
                  "Neither this login nor a role it belongs to is among the approvers of template \"" + template_name +
                      "\"; being a superuser does not count, nor a group that every login is in, nor one that comes "
                      "with a grant.",
                  "An administrator can add it with jit_alter_template.");
}

std::vector<Person> roles_by_name(const pg::TextArray& names, const char* parameter) {
    std::vector<Person> people;
    for (const auto& name : names) {
        const auto role = pg::find_role(name);
        if (!role)
            throw Failure(Code::invalid_argument, std::string("invalid ") + parameter,
                          "There is no role \"" + pg::excerpt(name) + "\".",
                          "Names are matched exactly, without quotes and without folding to lower case.");
        if (std::any_of(people.begin(), people.end(), [&](const Person& p) { return p.role == *role; })) continue;
        people.push_back({*role, name});
    }
    return people;
}

}  // namespace jit::principal
