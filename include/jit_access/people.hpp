// Who is asking, and what is he here. Identity is the session user; being a superuser makes nobody an approver.
#pragma once

#include <string>

#include "jit_access/pg/role.hpp"

namespace jit::people {

struct Person {
    pg::RoleId role;
    std::string name;
};

[[nodiscard]] Person asking();
// Superuser or member of jit_admin.
[[nodiscard]] bool is_admin(const Person& person);
// The same, or a member of jit_auditor.
[[nodiscard]] bool may_audit(pg::RoleId role);
void require_admin(const Person& person);
void require_auditor(const Person& person);

// Listed for a template, himself or through a role.
[[nodiscard]] bool may_request(const Person& person, std::int64_t template_id);
[[nodiscard]] bool may_decide(const Person& person, std::int64_t template_id);

// Existing roles by their exact names, in the order given; `what` is for the message.
[[nodiscard]] std::vector<Person> named(const pg::TextArray& names, const char* what);

}  // namespace jit::people
