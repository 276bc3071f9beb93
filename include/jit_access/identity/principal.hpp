// Who is asking, and what is he here. Identity is the session user; being a superuser makes nobody an approver.
#pragma once

#include <optional>
#include <string>

#include "jit_access/core/policy.hpp"
#include "jit_access/pg/role.hpp"

namespace jit::principal {

struct Person {
    pg::RoleId role;
    std::string name;
};

[[nodiscard]] Person caller();
// Whoever the session belongs to: he need not be asking, a job may run for him.
[[nodiscard]] Person of_session();

// Where a call comes from.
struct Origin {
    std::optional<std::string> objection;  // why it is not the client's own statement; nothing if it is
};
// What gives access, or more of it, is typed by the person himself: code that runs in his session cannot do it in his
// name. `what` is for the message. An attempt is on the record even if the code hides the error.
void require_own_statement(const Person& person, const Origin& origin, const std::string& what);

// Superuser or member of jit_admin.
[[nodiscard]] bool is_admin(const Person& person);
// The same, or a member of jit_auditor.
[[nodiscard]] bool may_audit(pg::RoleId role);
// The same, or a member of jit_monitor.
[[nodiscard]] bool may_monitor(pg::RoleId role);
void require_admin(const Person& person);
void require_auditor(const Person& person);

// Several logins may belong to one person (jit_set_person); one that nobody has declared is a person of its own.
[[nodiscard]] core::PersonId person_of(const Person& login);
[[nodiscard]] pg::TextArray logins_of(const core::PersonId& person);  // OIDs
// Replaces the logins of a person; without any he is forgotten.
void set_person(const std::optional<std::string>& name, const std::optional<pg::TextArray>& logins,
                const Origin& origin);

// A member of a role, but not through a grant.
[[nodiscard]] bool is_member_without_grant(pg::RoleId member, pg::RoleId of);

// The person's declared name, or that of the login.
[[nodiscard]] std::string shown(const Person& login);

// Listed for a template, himself or through a role that he stands in.
[[nodiscard]] bool may_request(const Person& person, std::int64_t template_id);
// This role himself, or through one that he stands in; a group that every login is in names nobody.
[[nodiscard]] bool is_named(const Person& person, pg::RoleId role);
// One bit for each approver role of the template that makes him an approver, in the order of their names. A group that
// every login is in makes nobody one.
[[nodiscard]] std::uint64_t approver_groups(const Person& person, std::int64_t template_id);
// Among the responders of a template, by the same measure.
[[nodiscard]] bool may_break_glass(const Person& person, std::int64_t template_id);
[[nodiscard]] bool may_decide(const Person& person, std::int64_t template_id);
// Throws not_permitted; `what` is what he may not do, "decide about request 42".
void require_approver(const Person& person, std::int64_t template_id, const std::string& template_name,
                      const std::string& what);
inline constexpr std::size_t max_roles = 64;

// Existing roles by their exact names, in the order given; `what` is for the message.
[[nodiscard]] std::vector<Person> named(const pg::TextArray& names, const char* what);

}  // namespace jit::principal
