#include "jit_access/policy/policy_import.hpp"

#include <algorithm>
#include <exception>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/policy/json_object.hpp"
#include "jit_access/policy/policy_file.hpp"
#include "jit_access/policy/rule.hpp"
#include "jit_access/policy/template.hpp"
#include "jit_access/policy/template_settings.hpp"
#include "jit_access/policy/window.hpp"

namespace jit::policy_file {

using core::Code;
using core::Failure;
using templates::Template;
using templates::TemplateArguments;

namespace {

pg::TextArray sorted_unique(pg::TextArray names) {
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

// ---- templates ---------------------------------------------------------------------------------------------------

// Converts a value of a Template to the argument that sets this value.
template <class T>
void to_argument(const T& value, std::optional<T>& argument) {
    argument = value;
}
void to_argument(std::int64_t value, std::optional<core::IntervalParts>& argument) {
    argument = {.microseconds = value};
}
void to_argument(const std::optional<std::int64_t>& value, std::optional<core::IntervalParts>& argument) {
    argument = {.microseconds = value.value_or(0)};  // zero removes the setting
}

TemplateArguments read_template_arguments(const JsonObject& object) {
    TemplateArguments arguments;
    pg::TextArray keys;
    templates::each_argument([&](const char* name, auto argument) {
        keys.emplace_back(name);
        object.read(name, arguments.*argument);
    });
    object.require_only(keys);
    return arguments;
}

pg::TextArray participants(const Template& tmpl, const char* capacity) {
    pg::TextArray names;
    for (const auto& row : pg::query(R"sql(
             SELECT role_name FROM jit_access.template_person
             WHERE template_id = $1 AND part = $2
             ORDER BY role_name
         )sql",
                                     {tmpl.id, std::string(capacity)}))
        names.push_back(row.get<std::string>(0));
    return names;
}

std::string mode_of(const Template& tmpl) {
    if (tmpl.login) return "login";
    return tmpl.set_role ? "set_role" : "inherit";
}

// jit_alter_template cannot change these; a document that asks for it is refused.
void check_fixed_settings(const Template& current, const Template& wanted, const TemplateArguments& arguments) {
    const auto refuse = [&](const char* setting) {
        throw Failure(Code::invalid_argument,
                      "cannot change the " + std::string(setting) + " of template \"" + current.name + "\"",
                      "It is fixed when the template is created.",
                      "Drop it with jit_drop_template when no grant of it is live, and import the policy again.");
    };
    if (arguments.mode.value_or("inherit") != mode_of(current)) refuse("mode");
    if (wanted.allow_schema_change != current.allow_schema_change) refuse("allow_schema_change");
    if (wanted.allow_code != current.allow_code) refuse("allow_code");
    if ((current.role_created ? std::optional<std::string>() : current.role_name) != arguments.role) refuse("role");
}

// The template that jit_create_template would create: settings that are not in the document have their defaults.
Template wanted_template(const TemplateArguments& arguments, const principal::Person& me) {
    Template wanted;
    wanted.set_role = arguments.mode == "set_role";
    wanted.login = arguments.mode == "login";
    wanted.allow_schema_change = arguments.allow_schema_change.value_or(false);
    wanted.allow_code = arguments.allow_code.value_or(false);
    templates::apply_settings(arguments, wanted, me);
    return wanted;
}

// Fills `change` with the arguments that make jit_alter_template turn `current` into `wanted`. Returns their names.
pg::TextArray find_changes(const Template& current, const Template& wanted, const TemplateArguments& arguments,
                           TemplateArguments& change) {
    pg::TextArray changed;
    templates::each_setting([&](const char* name, auto argument, auto member) {
        if (current.*member == wanted.*member) return;
        to_argument(wanted.*member, change.*argument);
        changed.emplace_back(name);
    });
    if (current.at_deadline != wanted.at_deadline) {
        change.at_deadline = std::string(core::to_string(wanted.at_deadline));
        changed.emplace_back("at_deadline");
    }
    // If the document has no object_owner, the current owner stays, because jit_alter_template cannot remove it.
    if (current.object_owner != wanted.object_owner && arguments.object_owner) {
        change.object_owner = arguments.object_owner;
        changed.emplace_back("object_owner");
    }
    const auto privileges = arguments.privileges.value_or(pg::TextArray{});
    if (current.privileges != privileges) {
        change.privileges = privileges;
        changed.emplace_back("privileges");
    }
    templates::each_participant_list([&](const char* capacity, const char* name, auto argument) {
        const auto names = sorted_unique((arguments.*argument).value_or(pg::TextArray{}));
        if (sorted_unique(participants(current, capacity)) == names) return;
        change.*argument = names;
        changed.emplace_back(name);
    });
    const auto description = pg::query_row("SELECT description FROM jit_access.template WHERE id = $1", {current.id});
    if (arguments.description && description.value().maybe<std::string>(0) != arguments.description) {
        change.description = arguments.description;
        changed.emplace_back("description");
    }
    return changed;
}

void import_template(const JsonObject& object, const principal::Person& me, const principal::Origin& origin,
                     std::vector<Difference>& differences) {
    const auto arguments = read_template_arguments(object);
    const auto exists = pg::query_row("SELECT 1 FROM jit_access.template WHERE name = $1 AND dropped_at IS NULL",
                                      {arguments.name.value_or("")});
    if (!exists) {
        templates::create(arguments, origin);
        differences.push_back({"created", "template", *arguments.name, {}});
        return;
    }
    const auto current = templates::lock(arguments.name);
    const auto wanted = wanted_template(arguments, me);
    check_fixed_settings(current, wanted, arguments);
    TemplateArguments change;
    change.name = arguments.name;
    const auto changed = find_changes(current, wanted, arguments, change);
    if (changed.empty()) return;
    templates::alter(change, origin);
    differences.push_back({"changed", "template", *arguments.name, changed});
}

// ---- rules -------------------------------------------------------------------------------------------------------

// Rules and windows are compared as documents that the server writes, so that two spellings of one duration or network
// do not count as a difference.
std::optional<std::string> current_document(const char* documents, const std::string& name) {
    const auto row = pg::query_row((std::string(documents) + "WHERE name = $1").c_str(), {name});
    if (!row) return std::nullopt;
    return row->get<std::string>(0);
}

std::string wanted_rule(const rule::RuleArguments& arguments) {
    std::optional<std::int64_t> max_duration;
    if (arguments.max_duration) max_duration = templates::checked_duration(*arguments.max_duration, "max_duration");
    return pg::query_row(R"sql(
               SELECT pg_catalog.jsonb_build_object(
                          'name', $1, 'effect', $2, 'templates', $3, 'role', $4,
                          'max_duration', $5, 'max_risk', $6,
                          'networks', $7::pg_catalog.cidr[]::pg_catalog.text[], 'windows', $8)
           )sql",
                         {pg::nullable(arguments.name), pg::nullable(arguments.effect), arguments.templates,
                          pg::nullable(arguments.role), pg::nullable_duration(max_duration),
                          pg::nullable(arguments.max_risk), arguments.networks, arguments.windows})
        .value()
        .get<std::string>(0);
}

void import_rule(const JsonObject& object, const principal::Origin& origin, std::vector<Difference>& differences) {
    object.require_only({"name", "effect", "templates", "role", "max_duration", "max_risk", "networks", "windows"});
    rule::RuleArguments arguments;
    std::optional<pg::TextArray> templates;
    std::optional<pg::TextArray> networks;
    std::optional<pg::TextArray> windows;
    object.read("name", arguments.name);
    object.read("effect", arguments.effect);
    object.read("templates", templates);
    object.read("role", arguments.role);
    object.read("max_duration", arguments.max_duration);
    object.read("max_risk", arguments.max_risk);
    object.read("networks", networks);
    object.read("windows", windows);
    arguments.templates = templates.value_or(pg::TextArray{});
    arguments.networks = networks.value_or(pg::TextArray{});
    arguments.windows = windows.value_or(pg::TextArray{});

    const auto current = current_document(rule_documents, arguments.name.value_or(""));
    if (current && current == wanted_rule(arguments)) return;
    if (current) rule::drop(arguments.name, origin);
    rule::create(arguments, origin);
    differences.push_back({current ? "changed" : "created", "rule", *arguments.name, {}});
}

// ---- windows -----------------------------------------------------------------------------------------------------

pg::TextArray sorted_texts(std::vector<std::int32_t> numbers) {
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    pg::TextArray texts;
    for (const auto number : numbers) texts.push_back(std::to_string(number));
    return texts;
}

std::string wanted_window(const window::WindowArguments& arguments) {
    return pg::query_row(
               R"sql(
               SELECT pg_catalog.to_jsonb(w)
               FROM (SELECT $1 AS name, $2 AS kind, $3 AS time_zone, time '00:00' + $4 AS starts, $5 AS lasts,
                            $6::pg_catalog.int4[] AS weekdays,
                            date '2000-01-01' + $7 AS first_day,
                            date '2000-01-01' + $8 AS last_day,
                            ARRAY(SELECT date '2000-01-01' + d
                                  FROM unnest($9::pg_catalog.int4[]) d ORDER BY d) AS days) w
           )sql",
               {pg::nullable(arguments.name), pg::nullable(arguments.kind), pg::nullable(arguments.time_zone),
                pg::nullable_duration(arguments.starts),
                pg::Duration{templates::checked_duration(arguments.lasts.value_or(core::IntervalParts{}), "lasts")},
                sorted_texts(arguments.weekdays), pg::nullable(arguments.first_day), pg::nullable(arguments.last_day),
                sorted_texts(arguments.days)})
        .value()
        .get<std::string>(0);
}

void import_window(const JsonObject& object, const principal::Origin& origin, std::vector<Difference>& differences) {
    object.require_only({"name", "kind", "time_zone", "starts", "lasts", "weekdays", "first_day", "last_day", "days"});
    // The defaults of jit_create_window.
    window::WindowArguments arguments{.starts = 0, .lasts = core::IntervalParts{.days = 1}, .kind = "open"};
    const auto set_if_present = [](auto& argument, const auto& value) {
        if (value) argument = value;
    };
    std::optional<std::int64_t> starts;
    std::optional<core::IntervalParts> lasts;
    std::optional<std::string> kind;
    object.read("name", arguments.name);
    object.read("kind", kind);
    object.read("time_zone", arguments.time_zone);
    object.read_time("starts", starts);
    object.read("lasts", lasts);
    object.read_numbers("weekdays", arguments.weekdays);
    object.read_date("first_day", arguments.first_day);
    object.read_date("last_day", arguments.last_day);
    object.read_dates("days", arguments.days);
    set_if_present(arguments.starts, starts);
    set_if_present(arguments.lasts, lasts);
    set_if_present(arguments.kind, kind);

    const auto current = current_document(window_documents, arguments.name.value_or(""));
    if (current && current == wanted_window(arguments)) return;
    // A window that is in use cannot be dropped, so it is replaced.
    if (current)
        window::replace(arguments, origin);
    else
        window::create(arguments, origin);
    differences.push_back({current ? "changed" : "created", "window", *arguments.name, {}});
}

// ---- people ------------------------------------------------------------------------------------------------------

void import_person(const JsonObject& object, const principal::Origin& origin, std::vector<Difference>& differences) {
    object.require_only({"name", "logins"});
    std::optional<std::string> name;
    std::optional<pg::TextArray> logins;
    object.read("name", name);
    object.read("logins", logins);
    pg::TextArray current;
    for (const auto& row : pg::query("SELECT login_name FROM jit_access.person WHERE name = $1", {name.value_or("")}))
        current.push_back(row.get<std::string>(0));
    if (sorted_unique(current) == sorted_unique(logins.value_or(pg::TextArray{}))) return;
    principal::set_person(name, logins, origin);
    differences.push_back({current.empty() ? "created" : "changed", "person", *name, {}});
}

// ---- the document ------------------------------------------------------------------------------------------------

// Objects that exist but are not in the document are reported, never dropped.
void report_others(const std::string& document, std::vector<Difference>& differences) {
    const auto report = [&](const char* kind, const char* sql) {
        for (const auto& row : pg::query(sql, {document}))
            differences.push_back({"not in the policy", kind, row.get<std::string>(0), {}});
    };
    report("person", R"sql(
        SELECT DISTINCT name FROM jit_access.person
        WHERE NOT EXISTS (SELECT FROM pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb -> 'people') e
                          WHERE e ->> 'name' = name)
        ORDER BY 1
    )sql");
    report("window", R"sql(
        SELECT name FROM jit_access.time_window
        WHERE NOT EXISTS (SELECT FROM pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb -> 'windows') e
                          WHERE e ->> 'name' = name)
        ORDER BY 1
    )sql");
    report("template", R"sql(
        SELECT name FROM jit_access.template
        WHERE dropped_at IS NULL AND name <> 'jit_drill'
          AND NOT EXISTS (SELECT FROM pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb -> 'templates') e
                          WHERE e ->> 'name' = name)
        ORDER BY 1
    )sql");
    report("rule", R"sql(
        SELECT name FROM jit_access.rule
        WHERE NOT EXISTS (SELECT FROM pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb -> 'rules') e
                          WHERE e ->> 'name' = name)
        ORDER BY 1
    )sql");
}

// The parts are imported in the order of dependencies: templates name windows, and rules name templates and windows.
void import_document(const std::string& document, const principal::Person& me, const principal::Origin& origin,
                     std::vector<Difference>& differences) {
    const JsonObject policy(document, "The policy");
    policy.require_only({"people", "windows", "templates", "rules"});
    for (const auto& person : policy.list("people")) import_person(person, origin, differences);
    for (const auto& window : policy.list("windows")) import_window(window, origin, differences);
    for (const auto& tmpl : policy.list("templates")) import_template(tmpl, me, origin, differences);
    for (const auto& rule : policy.list("rules")) import_rule(rule, origin, differences);
    report_others(document, differences);
}

}  // namespace

std::vector<Difference> import_policy(const std::string& document, Mode mode, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    std::vector<Difference> differences;
    if (mode == Mode::apply) {
        principal::require_own_statement(me, origin, "a policy is read");
        import_document(document, me, origin, differences);
        return differences;
    }
    // A dry run need not be a statement sent by the client, because it changes nothing: the exception at the end of the
    // subtransaction rolls everything back. The exception of a failed import is kept in `failure`, because
    // in_subtransaction() returns faults only as text.
    std::exception_ptr failure;
    (void)pg::in_subtransaction([&] {
        try {
            import_document(document, me, {}, differences);
        } catch (...) {
            failure = std::current_exception();
        }
        throw Failure(Code::invalid_argument, "rehearsed");
    });
    if (failure) std::rethrow_exception(failure);
    return differences;
}

}  // namespace jit::policy_file
