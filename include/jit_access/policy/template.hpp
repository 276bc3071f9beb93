// Templates: a role that holds privileges, and the policy for granting them.
//
// The role is an ordinary role whose privileges are granted with GRANT, so every tool understands them. The closure of
// its memberships must not reach anything that amounts to a superuser or lets a holder pass privileges on; this is
// checked when the template is defined and again whenever a grant of it is activated (template_closure.hpp).
//
// create(), alter() and drop() are called by an administrator from a statement of their own. read() and lock() are for
// all stages of a grant. All functions need a transaction. Times are microseconds.
//
// Lock: each stage that decides about a template's requests locks the template's row FOR SHARE (lock()), and a change
// locks the row FOR UPDATE. A decision is therefore never made under an outdated policy, and a change waits for
// decisions in progress.
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
    bool role_created = true;  // created by jit_create_template; an adopted role is not dropped with the template
    bool set_role = false;     // mode set_role; neither this nor login: mode inherit
    bool login = false;        // mode login: the grant has a temporary login of its own
    bool allow_schema_change = false;
    bool allow_code = false;
    pg::TextArray privileges;
    // A superuser has defined its privileges, and only superusers have changed it since. Such a template may give
    // privileges that template_closure.hpp refuses to other templates.
    bool defined_by_superuser = false;
    core::AtDeadline at_deadline = core::AtDeadline::terminate;
    std::optional<pg::RoleId> object_owner;  // gets the objects created under a grant; absent: the template's role
    std::optional<std::string> object_owner_name;

    // Settings, see each_setting(). A cap of 0 means no cap; an empty list means no restriction.
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
    pg::TextArray windows;
    pg::TextArray networks;  // in cidr notation, or "local" for Unix-domain sockets
    pg::TextArray auth_methods;
    pg::TextArray databases;
    pg::TextArray database_oids;                       // OIDs of `databases`, in the same order
    pg::TextArray second_factor;                       // stages, see second_factor.hpp
    std::optional<std::int64_t> break_glass_duration;  // absent: no break-glass
    std::int32_t break_glass_per_day = 0;
};

// The arguments of jit_create_template and jit_alter_template. An absent argument means the default in the first and no
// change in the second.
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

// The only list of the settings. Each is an argument of jit_create_template and jit_alter_template, a column of
// jit_access.template and of jit_access.template_catalog, and a member of TemplateArguments and of Template. A time
// that may be absent is an optional in Template; an argument of zero removes it.
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

// Calls visit(capacity, name, argument) for each list of participants. The capacity is spelled as in
// jit_access.template_person.part; the argument lists the roles.
template <class Visitor>
void each_participant_list(Visitor&& visit) {
    visit("requester", "requesters", &TemplateArguments::requesters);
    visit("approver", "approvers", &TemplateArguments::approvers);
    visit("responder", "responders", &TemplateArguments::responders);
}

// Every argument of jit_create_template and jit_alter_template, by its name.
template <class Visitor>
void each_argument(Visitor&& visit) {
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

std::string create(const TemplateArguments& arguments, const principal::Origin& origin);  // returns the role's name
std::int32_t alter(const TemplateArguments& arguments, const principal::Origin& origin);  // returns the new version
// Drops the template; its open requests lapse. Throws live_grants or unreviewed.
void drop(const std::optional<std::string>& name);

// Removes one role, or all roles, from the participants of one capacity, as an access review has decided. The change
// need not be a statement of the user's own, because it only reduces access. Creates a new version, so open requests
// can no longer be approved.
void remove_participants(const Template& tmpl, const char* capacity, std::optional<pg::RoleId> role,
                         const std::string& by);

// Reads a template without a lock. The function by name throws unknown_template; the function by id also finds
// templates that have been dropped.
[[nodiscard]] Template read(const std::optional<std::string>& name);
[[nodiscard]] Template read(std::int64_t id);
// The same for a person. A template that does not exist and one that the person may not see raise the same error, so
// that names cannot be probed.
[[nodiscard]] Template read_visible(const principal::Person& person, const std::optional<std::string>& name);
// The same, and locks the row FOR SHARE until the transaction ends. lock_visible() checks whether the person may see
// the template before it waits for the lock. A service identity of a drill may lock only the canary template
// (service_identity.hpp).
[[nodiscard]] Template lock_visible(const principal::Person& person, const std::optional<std::string>& name);
[[nodiscard]] Template lock(const std::optional<std::string>& name);
[[nodiscard]] Template lock(std::int64_t id);
// All templates that are not dropped, by name, without a lock.
[[nodiscard]] std::vector<Template> all();

}  // namespace jit::templates
