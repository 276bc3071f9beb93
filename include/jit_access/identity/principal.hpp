// The person who makes a call, and the permissions of that person. A person is identified by the session user, as
// authenticated: SET ROLE does not change it, and being a superuser does not make a login an approver.
//
// Lookups read catalogs and tables of the control database through SPI; they need a transaction and may throw server
// errors. Functions named require_… throw a Failure (SQLSTATE class JA) that names the missing permission.
#pragma once

#include <optional>
#include <string>

#include "jit_access/core/policy.hpp"
#include "jit_access/pg/role.hpp"

namespace jit::principal {

// A login or a group, by OID and by the name it had when it was read.
struct Person {
    pg::RoleId role;
    std::string name;
};

// The session user, as the author of a request or decision. Throws not_permitted, and records the attempt, in a
// background process, during maintenance that runs other users' code (ANALYZE), and for the temporary login of a grant.
[[nodiscard]] Person caller();
// The session user without these checks, for a session in which a scheduled job may run.
[[nodiscard]] Person session_person();

// Where the call of an SQL function comes from. The entry function determines this (api/support).
struct Origin {
    // A sentence that says why the call is not part of the statement that the client has sent; nothing if it is.
    std::optional<std::string> indirect_reason;
};
// Throws not_own_statement, and records the attempt, unless the client has sent the call itself. Required of every
// function that gives access: a view, function or trigger could otherwise make the call in the name of whoever uses it
// (docs/adr/013-own-statement.md). `action` begins the message: "a request is approved".
void require_own_statement(const Person& person, const Origin& origin, const std::string& action);

// Superuser or member of jit_admin.
[[nodiscard]] bool is_admin(const Person& person);
// An administrator or a member of jit_auditor.
[[nodiscard]] bool may_audit(pg::RoleId role);
// An auditor or a member of jit_monitor.
[[nodiscard]] bool may_monitor(pg::RoleId role);
void require_admin(const Person& person);
void require_auditor(const Person& person);

// Several logins may belong to one person (jit_set_person). A login that is not declared counts as a person of its own.
[[nodiscard]] core::PersonId person_of(const Person& login);
[[nodiscard]] pg::TextArray logins_of(const core::PersonId& person);  // OIDs
// Replaces the logins of a person. Without logins the person is deleted.
void set_person(const std::optional<std::string>& name, const std::optional<pg::TextArray>& logins,
                const Origin& origin);
// Returns the declared name of the login's person, or else the name of the login.
[[nodiscard]] std::string display_name(const Person& login);

// Whether `member` is a member of `group`, directly or not, without passing through the role of a grant. A grant must
// not make its holder a requester or an approver.
[[nodiscard]] bool is_member_without_grant(pg::RoleId member, pg::RoleId group);

// Whether the person is listed as a requester of the template, directly or through a group.
[[nodiscard]] bool may_request(const Person& person, std::int64_t template_id);
// Whether a list that contains this role includes the person: the role is the person's login, or a group that contains
// the login. A group that contains every login does not count, because listing it would remove the separation of
// duties.
[[nodiscard]] bool is_listed_through(const Person& person, pg::RoleId role);
// One bit for each approver role of the template, in the order of their names. The bit is set if the person is listed
// through the role.
[[nodiscard]] std::uint64_t approver_groups(const Person& person, std::int64_t template_id);
// Whether the person is listed as a responder of the template.
[[nodiscard]] bool may_break_glass(const Person& person, std::int64_t template_id);
[[nodiscard]] bool may_decide(const Person& person, std::int64_t template_id);
// Whether the person may know that the template exists: the template lists the person in any capacity, or the person
// may audit.
[[nodiscard]] bool may_see_template(const Person& person, std::int64_t template_id);
// Throws not_permitted. `action` completes the message: "decide about request 42".
void require_approver(const Person& person, std::int64_t template_id, const std::string& template_name,
                      const std::string& action);

// How many roles one part of a template may list.
inline constexpr std::size_t max_roles = 64;
// Returns the roles with these exact names, each once, in the given order. Throws invalid_argument if one does not
// exist; `parameter` is for the message.
[[nodiscard]] std::vector<Person> roles_by_name(const pg::TextArray& names, const char* parameter);

}  // namespace jit::principal
