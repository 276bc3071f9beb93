#include "jit_access/policy/template_settings.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/policy.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/identity/second_factor.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/policy/conditions.hpp"
#include "jit_access/policy/window.hpp"

namespace jit::templates {

using core::Code;
using core::Failure;
using core::invalid;
using pg::RoleId;
using principal::Person;

namespace {

constexpr std::int64_t max_grace_period = core::us_per_day / 24;
constexpr std::int64_t max_break_glass_duration = core::us_per_day;

// set_member(): an argument, if given, becomes the member of Template. An interval of zero removes an optional time.
template <class T>
void set_member(const char*, const std::optional<T>& argument, T& member) {
    if (argument) member = *argument;
}

void set_member(const char* name, const std::optional<core::IntervalParts>& argument, std::int64_t& member) {
    if (argument) member = checked_duration(*argument, name);
}

void set_member(const char* name, const std::optional<core::IntervalParts>& argument,
                std::optional<std::int64_t>& member) {
    if (!argument) return;
    const bool is_zero = argument->months == 0 && argument->days == 0 && argument->microseconds == 0;
    member = is_zero ? std::nullopt : std::optional(checked_duration(*argument, name));
}

// load_member(): a column becomes the member; to_argument(): the reverse.
template <class T>
void load_member(const pg::Row& row, std::size_t column, T& member) {
    member = row.get<T>(column);
}
void load_member(const pg::Row& row, std::size_t column, std::int64_t& member) {
    member = row.get<pg::Duration>(column).us;
}
void load_member(const pg::Row& row, std::size_t column, std::optional<std::int64_t>& member) {
    if (const auto time = row.maybe<pg::Duration>(column)) member = time->us;
}

template <class T>
pg::Argument to_argument(const T& value) {
    return value;
}
pg::Argument to_argument(std::int64_t value) { return pg::Duration{value}; }
pg::Argument to_argument(const std::optional<std::int64_t>& value) { return pg::nullable_duration(value); }

// Rules between settings. They hold for the template that results, not only for the arguments given.

void check_policy(const Template& policy) {
    if (policy.approvals_needed < 1 || policy.approvals_needed > 10)
        throw invalid("approvals_needed", "It is " + std::to_string(policy.approvals_needed) + ".",
                      "Ask for 1 to 10 approvals.");
    for (const auto cap : {policy.person_at_once, policy.person_per_day, policy.template_at_once,
                           policy.template_per_day, policy.break_glass_per_day})
        if (cap < 0) throw invalid("cap", "It is " + std::to_string(cap) + ".", "Give a number; 0 is no cap.");
    if (policy.total_duration && *policy.total_duration < policy.max_duration)
        throw invalid("total_duration",
                      core::format_duration(*policy.total_duration) + " is less than the maximum for one request, " +
                          core::format_duration(policy.max_duration) + ".",
                      "Leave it out, or set it to zero, to let extensions reach max_duration and no further.");
    if (!core::risk_from(policy.risk))
        throw invalid("risk", "\"" + pg::excerpt(policy.risk) + "\" is not valid.", "Use low, medium or high.");
    if (policy.default_duration && *policy.default_duration > policy.max_duration)
        throw invalid("default_duration", core::format_duration(*policy.default_duration) +
                                              " is more than the maximum, " +
                                              core::format_duration(policy.max_duration) + ".");
    if (policy.login_connections < 1)
        throw invalid("login_connections", "It is " + std::to_string(policy.login_connections) + ".",
                      "A login needs at least one connection.");
    if (policy.login && policy.at_deadline == core::AtDeadline::cancel)
        throw invalid("at_deadline", "A login of its own has no privileges to go back to.",
                      "Use terminate, or grace (with grace_period).");
    if (policy.allow_schema_change && !policy.set_role)
        throw invalid("allow_schema_change", "Only templates of mode set_role can change the schema.",
                      "Objects then belong to the temporary role and can be reclaimed: use mode => 'set_role'.");
}

void check_break_glass(const Template& policy) {
    if (!policy.break_glass_duration) return;
    const auto limit = std::min(policy.max_duration, max_break_glass_duration);
    if (*policy.break_glass_duration > limit)
        throw invalid("break_glass_duration",
                      core::format_duration(*policy.break_glass_duration) + " is more than " +
                          (limit == policy.max_duration ? "the maximum, " : "one can be, ") +
                          core::format_duration(limit) + ".",
                      "A break-glass is short; for longer, ask for an approval.");
}

void check_end_of_grant(const Template& policy) {
    if ((policy.at_deadline == core::AtDeadline::grace) != policy.grace_period.has_value())
        throw invalid("grace_period",
                      policy.grace_period ? "It is for templates with at_deadline => 'grace'."
                                          : "at_deadline => 'grace' needs to know for how long.",
                      "Give both at_deadline => 'grace' and grace_period, or neither.");
    if (policy.grace_period && *policy.grace_period > max_grace_period)
        throw invalid("grace_period", core::format_duration(*policy.grace_period) + " is more than the maximum, " +
                                          core::format_duration(max_grace_period) + ".");
    if ((policy.object_owner || policy.allow_code) && !policy.allow_schema_change)
        throw invalid(policy.object_owner ? "object_owner" : "allow_code",
                      "Objects cannot be created under a template that cannot change the schema.",
                      "Declare the template with allow_schema_change => true and mode => 'set_role'.");
}

core::AtDeadline checked_at_deadline(const std::string& text) {
    if (const auto action = core::at_deadline_from(text)) return *action;
    throw invalid("at_deadline", "\"" + pg::excerpt(text) + "\" is not valid.",
                  "Use terminate, cancel or grace (with grace_period).");
}

// As for ALTER ... OWNER TO, the administrator must be a member of the new owner.
RoleId checked_object_owner(const std::string& name, const Person& admin) {
    const auto role = pg::find_role(name);
    if (!role) throw invalid("object_owner", "There is no role \"" + pg::excerpt(name) + "\".");
    if (name.starts_with(core::managed_role_prefix))
        throw invalid("object_owner", "\"" + name + "\" belongs to jit_access.", "Name a role of your own.");
    if (pg::is_superuser(*role))
        throw invalid("object_owner", "\"" + name + "\" is a superuser.",
                      "Objects that requesters create would belong to a superuser; name an ordinary role.");
    if (!pg::is_superuser(admin.role) && !pg::is_member(admin.role, *role))
        throw Failure(Code::not_permitted, "you cannot give objects to \"" + name + "\"",
                      "You are not a member of that role.", "Name a role you are a member of, or ask a superuser.");
    return *role;
}

void check_description(const std::optional<std::string>& description) {
    if (!description) return;
    if (const auto fault = core::fault_in_text(*description)) throw invalid("description", *fault);
}

}  // namespace

std::int64_t checked_duration(const core::IntervalParts& interval, const char* argument) {
    const auto result = core::reduce(interval);
    if (result.fault)
        throw invalid(argument, core::explain(*result.fault),
                      "Write hours, minutes or days, for example '2h' or '3 days'.");
    return result.microseconds;
}

void apply_settings(const TemplateArguments& arguments, Template& tmpl, const Person& admin) {
    each_setting(
        [&](const char* name, auto argument, auto member) { set_member(name, arguments.*argument, tmpl.*member); });
    if (arguments.at_deadline) tmpl.at_deadline = checked_at_deadline(*arguments.at_deadline);
    // A grace period is removed together with its action. If the same call gives one, check_end_of_grant() rejects it.
    if (tmpl.at_deadline != core::AtDeadline::grace && !arguments.grace_period) tmpl.grace_period.reset();
    if (arguments.object_owner) {
        tmpl.object_owner = checked_object_owner(*arguments.object_owner, admin);
        tmpl.object_owner_name = *arguments.object_owner;
    }
    second_factor::check_stages(tmpl.second_factor);
    check_description(arguments.description);
    if (arguments.windows) window::check_names(*arguments.windows);
    conditions::normalize(arguments, tmpl);
    check_policy(tmpl);
    check_break_glass(tmpl);
    check_end_of_grant(tmpl);
}

// The number of columns that are not settings. template_from_row() reads these columns first, and then the settings.
constexpr std::size_t fixed_column_count = 16;

std::string select_template() {
    return R"sql(
        SELECT id, name, version, role, role_name, role_created, mode = 'set_role', mode = 'login',
               allow_schema_change, allow_code, privileges, at_deadline::text, object_owner, object_owner_name,
               database_oids::text[], defined_by_superuser, )sql" +
           setting_names() + R"sql(
        FROM jit_access.template
    )sql";
}

Template template_from_row(const pg::Row& row) {
    Template tmpl{.id = row.get<std::int64_t>(0),
                  .name = row.get<std::string>(1),
                  .version = row.get<std::int32_t>(2),
                  .role = row.get<RoleId>(3),
                  .role_name = row.get<std::string>(4),
                  .role_created = row.get<bool>(5),
                  .set_role = row.get<bool>(6),
                  .login = row.get<bool>(7),
                  .allow_schema_change = row.get<bool>(8),
                  .allow_code = row.get<bool>(9),
                  .privileges = row.get<pg::TextArray>(10),
                  .defined_by_superuser = row.get<bool>(15),
                  .at_deadline = core::at_deadline_from(row.get<std::string>(11)).value(),
                  .object_owner = row.maybe<RoleId>(12),
                  .object_owner_name = row.maybe<std::string>(13),
                  .database_oids = row.get<pg::TextArray>(14)};
    std::size_t column = fixed_column_count;
    each_setting([&](const char*, auto, auto member) { load_member(row, column++, tmpl.*member); });
    return tmpl;
}

std::string setting_names() {
    std::string names;
    each_setting([&](const char* name, auto, auto) { names += (names.empty() ? "" : ", ") + std::string(name); });
    return names;
}

std::vector<pg::Argument> setting_values(const Template& tmpl) {
    std::vector<pg::Argument> values;
    each_setting([&](const char*, auto, auto member) { values.push_back(to_argument(tmpl.*member)); });
    return values;
}

std::string participant_columns() {
    std::string columns;
    each_participant_list([&](const char* capacity, const char* name, auto) {
        columns += std::string(R"sql(
               ARRAY(SELECT p.role_name FROM jit_access.template_person p
                     WHERE p.template_id = t.id AND p.part = ')sql") +
                   capacity + "' ORDER BY 1) AS " + name + ", ";
    });
    return columns;
}

}  // namespace jit::templates
