// Templates: a role that holds privileges, and the policy around it.
//
// The role is an ordinary one: its privileges are given with GRANT, every tool understands them. What would make its
// holder equal to a superuser, or let him pass privileges on, is refused by the closure of memberships, when the
// template is made and again whenever a grant of it is activated.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jit_access/core/duration.hpp"
#include "jit_access/core/lifecycle.hpp"
#include "jit_access/people.hpp"

namespace jit::templates {

struct Template {
    std::int64_t id = 0;
    std::string name;
    std::int32_t version = 0;
    pg::RoleId role;
    std::string role_name;
    bool set_role = false;
    bool allow_schema_change = false;
    pg::TextArray privileges;
    std::int32_t approvals_needed = 1;
    std::optional<std::int64_t> default_duration;  // durations in microseconds
    std::int64_t max_duration = 0;
    std::int64_t holder_extension = 0;
    std::int64_t time_to_decide = 0;
    bool reason_required = false;
    bool ticket_required = false;
    core::AtDeadline at_deadline = core::AtDeadline::terminate;
    std::optional<std::int64_t> grace_period;
    std::optional<pg::RoleId> object_owner;  // gets what is made under a grant; nobody = the template's role
    std::optional<std::string> object_owner_name;
    bool allow_code = false;
    // Stages, see second_factor.hpp.
    pg::TextArray second_factor;
    bool role_made = true;  // by jit_create_template; an adopted role is left standing
};

// What jit_create_template and jit_alter_template were given; nothing = not given.
struct Draft {
    std::optional<std::string> name;
    std::optional<pg::TextArray> privileges;
    std::optional<pg::TextArray> requesters;
    std::optional<pg::TextArray> approvers;
    std::optional<core::IntervalParts> max_duration;
    std::optional<core::IntervalParts> default_duration;
    std::optional<std::string> mode;
    std::optional<std::string> role;
    std::optional<std::int32_t> approvals_needed;
    std::optional<core::IntervalParts> holder_extension;
    std::optional<core::IntervalParts> time_to_decide;
    std::optional<bool> reason_required;
    std::optional<bool> ticket_required;
    std::optional<bool> allow_schema_change;
    std::optional<std::string> description;
    std::optional<std::string> at_deadline;
    std::optional<core::IntervalParts> grace_period;
    std::optional<std::string> object_owner;
    std::optional<bool> allow_code;
    std::optional<pg::TextArray> second_factor;
};

std::string create(const Draft& draft, const people::Origin& origin);  // the role's name
std::int32_t alter(const Draft& draft, const people::Origin& origin);  // the new version
void drop(const std::optional<std::string>& name);

// By name, or by id; the row is locked against change until the transaction ends. Throws unknown_template.
[[nodiscard]] Template find(const std::optional<std::string>& name);
[[nodiscard]] Template find(std::int64_t id);

// Throws privilege_refused when the closure of the template's role holds what no grant may give.
void check_closure(const Template& of);
// A closure may reach further than when it was found good (pending::change_closures says when).
void forget_seals() noexcept;

// Gives the role what the items say; the schemas named by ALL TABLES IN SCHEMA come back.
std::vector<std::uint32_t> give(const pg::TextArray& items, const std::string& role);
// Takes from the role what the template has given it.
void take_privileges(const Template& from);

// Event trigger: gives the template roles their privileges on relations made or moved by this command.
void cover(const pg::TextArray& relations, const std::vector<std::uint32_t>& schemas);

// Reduces a duration argument; throws invalid_argument.
[[nodiscard]] std::int64_t duration(const core::IntervalParts& interval, const char* what);

}  // namespace jit::templates
