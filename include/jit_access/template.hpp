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
    bool role_made = true;  // by jit_create_template; an adopted role is left standing
    bool set_role = false;
    bool login = false;  // neither: the grant has a login of its own
    bool allow_schema_change = false;
    bool allow_code = false;
    pg::TextArray privileges;
    core::AtDeadline at_deadline = core::AtDeadline::terminate;
    std::optional<pg::RoleId> object_owner;  // gets what is made under a grant; nobody = the template's role
    std::optional<std::string> object_owner_name;

    // Settings, see each_setting(). Times are microseconds; a cap of 0 is none.
    std::int32_t approvals_needed = 1;
    bool distinct_groups = false;
    std::optional<std::int64_t> default_duration;
    std::int64_t max_duration = core::us_per_day / 3;
    std::optional<std::int64_t> total_duration;
    std::optional<std::int64_t> holder_extension;
    std::int64_t time_to_decide = core::us_per_day;
    std::optional<std::int64_t> time_to_use;
    std::optional<std::int64_t> cool_down;
    std::int32_t person_at_once = 0;
    std::int32_t person_per_day = 0;
    std::int32_t template_at_once = 0;
    std::int32_t template_per_day = 0;
    std::int32_t login_connections = 1;
    std::string risk = "medium";
    bool reason_required = false;
    bool ticket_required = false;
    bool tls_required = false;
    bool client_cert_required = false;
    std::optional<std::int64_t> grace_period;
    pg::TextArray windows;       // none: at any time
    pg::TextArray networks;      // and "local"; none: from anywhere
    pg::TextArray auth_methods;  // none: any
    pg::TextArray databases;     // none: any
    pg::TextArray database_oids;
    pg::TextArray second_factor;                       // stages, see second_factor.hpp
    std::optional<std::int64_t> break_glass_duration;  // nothing: no break-glass
    std::int32_t break_glass_per_day = 0;
};

// What jit_create_template and jit_alter_template were given; nothing = not given.
struct Draft {
    std::optional<std::string> name;
    std::optional<pg::TextArray> privileges;
    std::optional<pg::TextArray> requesters;
    std::optional<pg::TextArray> approvers;
    std::optional<pg::TextArray> responders;
    std::optional<std::string> mode;
    std::optional<std::string> role;
    std::optional<bool> allow_schema_change;
    std::optional<bool> allow_code;
    std::optional<std::string> description;
    std::optional<std::string> at_deadline;
    std::optional<std::string> object_owner;

    std::optional<std::int32_t> approvals_needed;
    std::optional<bool> distinct_groups;
    std::optional<core::IntervalParts> default_duration;
    std::optional<core::IntervalParts> max_duration;
    std::optional<core::IntervalParts> total_duration;
    std::optional<core::IntervalParts> holder_extension;
    std::optional<core::IntervalParts> time_to_decide;
    std::optional<core::IntervalParts> time_to_use;
    std::optional<core::IntervalParts> cool_down;
    std::optional<std::int32_t> person_at_once;
    std::optional<std::int32_t> person_per_day;
    std::optional<std::int32_t> template_at_once;
    std::optional<std::int32_t> template_per_day;
    std::optional<std::int32_t> login_connections;
    std::optional<std::string> risk;
    std::optional<bool> reason_required;
    std::optional<bool> ticket_required;
    std::optional<core::IntervalParts> grace_period;
    std::optional<pg::TextArray> windows;
    std::optional<pg::TextArray> networks;
    std::optional<bool> tls_required;
    std::optional<bool> client_cert_required;
    std::optional<pg::TextArray> auth_methods;
    std::optional<pg::TextArray> databases;
    std::optional<pg::TextArray> second_factor;
    std::optional<core::IntervalParts> break_glass_duration;
    std::optional<std::int32_t> break_glass_per_day;
};

// The settings of a template, once: each is an argument of jit_create_template and jit_alter_template, a column of
// jit_access.template and of jit_access.template_catalog, and a member of Draft and of Template. A time that may be
// absent is an optional there, and is taken away by an argument of zero.
template <class Visitor>
void each_setting(Visitor&& visit) {
    visit("approvals_needed", &Draft::approvals_needed, &Template::approvals_needed);
    visit("distinct_groups", &Draft::distinct_groups, &Template::distinct_groups);
    visit("default_duration", &Draft::default_duration, &Template::default_duration);
    visit("max_duration", &Draft::max_duration, &Template::max_duration);
    visit("total_duration", &Draft::total_duration, &Template::total_duration);
    visit("holder_extension", &Draft::holder_extension, &Template::holder_extension);
    visit("time_to_decide", &Draft::time_to_decide, &Template::time_to_decide);
    visit("time_to_use", &Draft::time_to_use, &Template::time_to_use);
    visit("cool_down", &Draft::cool_down, &Template::cool_down);
    visit("person_at_once", &Draft::person_at_once, &Template::person_at_once);
    visit("person_per_day", &Draft::person_per_day, &Template::person_per_day);
    visit("template_at_once", &Draft::template_at_once, &Template::template_at_once);
    visit("template_per_day", &Draft::template_per_day, &Template::template_per_day);
    visit("login_connections", &Draft::login_connections, &Template::login_connections);
    visit("risk", &Draft::risk, &Template::risk);
    visit("reason_required", &Draft::reason_required, &Template::reason_required);
    visit("ticket_required", &Draft::ticket_required, &Template::ticket_required);
    visit("grace_period", &Draft::grace_period, &Template::grace_period);
    visit("second_factor", &Draft::second_factor, &Template::second_factor);
    visit("windows", &Draft::windows, &Template::windows);
    visit("networks", &Draft::networks, &Template::networks);
    visit("tls_required", &Draft::tls_required, &Template::tls_required);
    visit("client_cert_required", &Draft::client_cert_required, &Template::client_cert_required);
    visit("auth_methods", &Draft::auth_methods, &Template::auth_methods);
    visit("databases", &Draft::databases, &Template::databases);
    visit("break_glass_duration", &Draft::break_glass_duration, &Template::break_glass_duration);
    visit("break_glass_per_day", &Draft::break_glass_per_day, &Template::break_glass_per_day);
}

// Who takes part: the part, as jit_access.template_person has it, and the argument that lists its roles.
template <class Visit>
void each_part(Visit&& visit) {
    visit("requester", "requesters", &Draft::requesters);
    visit("approver", "approvers", &Draft::approvers);
    visit("responder", "responders", &Draft::responders);
}

// Every argument of the two functions by its name.
template <class Visit>
void each_argument(Visit&& visit) {
    visit("name", &Draft::name);
    visit("privileges", &Draft::privileges);
    each_part([&](const char*, const char* name, auto argument) { visit(name, argument); });
    visit("mode", &Draft::mode);
    visit("role", &Draft::role);
    visit("allow_schema_change", &Draft::allow_schema_change);
    visit("allow_code", &Draft::allow_code);
    visit("description", &Draft::description);
    visit("at_deadline", &Draft::at_deadline);
    visit("object_owner", &Draft::object_owner);
    each_setting([&](const char* name, auto argument, auto) { visit(name, argument); });
}

std::string create(const Draft& draft, const people::Origin& origin);  // the role's name
std::int32_t alter(const Draft& draft, const people::Origin& origin);  // the new version
void drop(const std::optional<std::string>& name);

// Takes roles off a part (of all of them, or one) by decision of an access review: nothing is given by that. Requests
// of the version before cannot be approved any more.
void withdraw(const Template& of, const char* part, std::optional<pg::RoleId> role, const std::string& by);

// By name, or by id; the row is locked against change until the transaction ends. Throws unknown_template.
[[nodiscard]] Template find(const std::optional<std::string>& name);
[[nodiscard]] Template find(std::int64_t id);
// The same without a lock.
[[nodiscard]] Template look(const std::optional<std::string>& name);
[[nodiscard]] Template look(std::int64_t id);
// Those that stand, without a lock, by name.
[[nodiscard]] std::vector<Template> all();

// The settings a draft gives, on top of what stands, and whether they go together. Throws invalid_argument.
void apply(const Draft& draft, Template& to, const people::Person& by);
// A template from the row that this selects; append WHERE.
[[nodiscard]] std::string select_template();
[[nodiscard]] Template from_row(const pg::Row& row);
// The columns of the settings and what a template has in them, to be written.
[[nodiscard]] std::string setting_names();     // "a, b, c"
[[nodiscard]] std::string parts_as_columns();  // "ARRAY(...) AS requesters, ...", of jit_access.template t
[[nodiscard]] std::vector<pg::Argument> setting_values(const Template& of);

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
