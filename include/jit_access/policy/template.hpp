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
#include "jit_access/identity/principal.hpp"

namespace jit::templates {

struct Template {
    std::int64_t id = 0;
    std::string name;
    std::int32_t version = 0;
    pg::RoleId role;
    std::string role_name;
    bool role_created = true;  // by jit_create_template; an adopted role is left standing
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
struct TemplateArguments {
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
// jit_access.template and of jit_access.template_catalog, and a member of TemplateArguments and of Template. A time
// that may be absent is an optional there, and is taken away by an argument of zero.
template <class Visitor>
void each_setting(Visitor&& visit) {
    visit("approvals_needed", &TemplateArguments::approvals_needed, &Template::approvals_needed);
    visit("distinct_groups", &TemplateArguments::distinct_groups, &Template::distinct_groups);
    visit("default_duration", &TemplateArguments::default_duration, &Template::default_duration);
    visit("max_duration", &TemplateArguments::max_duration, &Template::max_duration);
    visit("total_duration", &TemplateArguments::total_duration, &Template::total_duration);
    visit("holder_extension", &TemplateArguments::holder_extension, &Template::holder_extension);
    visit("time_to_decide", &TemplateArguments::time_to_decide, &Template::time_to_decide);
    visit("time_to_use", &TemplateArguments::time_to_use, &Template::time_to_use);
    visit("cool_down", &TemplateArguments::cool_down, &Template::cool_down);
    visit("person_at_once", &TemplateArguments::person_at_once, &Template::person_at_once);
    visit("person_per_day", &TemplateArguments::person_per_day, &Template::person_per_day);
    visit("template_at_once", &TemplateArguments::template_at_once, &Template::template_at_once);
    visit("template_per_day", &TemplateArguments::template_per_day, &Template::template_per_day);
    visit("login_connections", &TemplateArguments::login_connections, &Template::login_connections);
    visit("risk", &TemplateArguments::risk, &Template::risk);
    visit("reason_required", &TemplateArguments::reason_required, &Template::reason_required);
    visit("ticket_required", &TemplateArguments::ticket_required, &Template::ticket_required);
    visit("grace_period", &TemplateArguments::grace_period, &Template::grace_period);
    visit("second_factor", &TemplateArguments::second_factor, &Template::second_factor);
    visit("windows", &TemplateArguments::windows, &Template::windows);
    visit("networks", &TemplateArguments::networks, &Template::networks);
    visit("tls_required", &TemplateArguments::tls_required, &Template::tls_required);
    visit("client_cert_required", &TemplateArguments::client_cert_required, &Template::client_cert_required);
    visit("auth_methods", &TemplateArguments::auth_methods, &Template::auth_methods);
    visit("databases", &TemplateArguments::databases, &Template::databases);
    visit("break_glass_duration", &TemplateArguments::break_glass_duration, &Template::break_glass_duration);
    visit("break_glass_per_day", &TemplateArguments::break_glass_per_day, &Template::break_glass_per_day);
}

// Who takes part: the part, as jit_access.template_person has it, and the argument that lists its roles.
template <class Visit>
void each_participant_list(Visit&& visit) {
    visit("requester", "requesters", &TemplateArguments::requesters);
    visit("approver", "approvers", &TemplateArguments::approvers);
    visit("responder", "responders", &TemplateArguments::responders);
}

// Every argument of the two functions by its name.
template <class Visit>
void each_argument(Visit&& visit) {
    visit("name", &TemplateArguments::name);
    visit("privileges", &TemplateArguments::privileges);
    each_participant_list([&](const char*, const char* name, auto argument) { visit(name, argument); });
    visit("mode", &TemplateArguments::mode);
    visit("role", &TemplateArguments::role);
    visit("allow_schema_change", &TemplateArguments::allow_schema_change);
    visit("allow_code", &TemplateArguments::allow_code);
    visit("description", &TemplateArguments::description);
    visit("at_deadline", &TemplateArguments::at_deadline);
    visit("object_owner", &TemplateArguments::object_owner);
    each_setting([&](const char* name, auto argument, auto) { visit(name, argument); });
}

std::string create(const TemplateArguments& draft, const principal::Origin& origin);  // the role's name
std::int32_t alter(const TemplateArguments& draft, const principal::Origin& origin);  // the new version
void drop(const std::optional<std::string>& name);

// Takes roles off a part (of all of them, or one) by decision of an access review: nothing is given by that. Requests
// of the version before cannot be approved any more.
void remove_participants(const Template& of, const char* part, std::optional<pg::RoleId> role, const std::string& by);

// By name, or by id; the row is locked against change until the transaction ends. Throws unknown_template.
[[nodiscard]] Template lock(const std::optional<std::string>& name);
[[nodiscard]] Template lock(std::int64_t id);
// The same without a lock.
[[nodiscard]] Template read(const std::optional<std::string>& name);
[[nodiscard]] Template read(std::int64_t id);
// Those that stand, without a lock, by name.
[[nodiscard]] std::vector<Template> all();

}  // namespace jit::templates
