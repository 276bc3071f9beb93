#include "jit_access/policy/policy_file.hpp"
#include "jit_access/policy/template_privileges.hpp"
#include "jit_access/policy/template_settings.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/policy/rule.hpp"
#include "jit_access/policy/template.hpp"
#include "jit_access/policy/window.hpp"

namespace jit::policy_file {

using core::Code;
using core::Failure;
using templates::Template;

namespace {

Failure invalid(const std::string& detail, const std::string& hint = {}) {
    return {Code::invalid_argument, "invalid policy", detail, hint};
}

// ---- reading JSON ------------------------------------------------------------------------------------------------

// An object of the document; its parts are looked up by the server.
class Object {
public:
    Object(std::string text, std::string what) : text_(std::move(text)), what_(std::move(what)) {}

    [[nodiscard]] const std::string& what() const noexcept { return what_; }

    void read(const char* key, std::optional<std::string>& into) const {
        into = field<std::string>("SELECT $1::pg_catalog.jsonb ->> $2", key);
    }
    void read(const char* key, std::optional<bool>& into) const {
        into = field<bool>("SELECT ($1::pg_catalog.jsonb ->> $2)::pg_catalog.bool", key);
    }
    void read(const char* key, std::optional<std::int32_t>& into) const {
        into = field<std::int32_t>("SELECT ($1::pg_catalog.jsonb ->> $2)::pg_catalog.int4", key);
    }
    void read(const char* key, std::optional<pg::TextArray>& into) const {
        into = field<pg::TextArray>(
            "SELECT CASE WHEN $1::pg_catalog.jsonb ->> $2 IS NOT NULL THEN ARRAY(SELECT "
            "pg_catalog.jsonb_array_elements_text($1::pg_catalog.jsonb -> $2)) END",
            key);
    }
    void read(const char* key, std::optional<core::IntervalParts>& into) const {
        const auto time = field<pg::Duration>("SELECT ($1::pg_catalog.jsonb ->> $2)::pg_catalog.interval", key);
        if (!time) return;
        const auto months = field<bool>(
            "SELECT extract(year FROM i) <> 0 OR extract(month FROM i) <> 0 FROM (SELECT ($1::pg_catalog.jsonb ->> "
            "$2)::pg_catalog.interval) v (i)",
            key);
        into = core::IntervalParts{.months = *months ? 1 : 0, .days = 0, .microseconds = time->us};
    }

    // A time of day, in microseconds; a date, in days since 2000-01-01; whole numbers, and dates likewise.
    void read_time(const char* key, std::optional<std::int64_t>& into) const {
        into = field<std::int64_t>(
            "SELECT (extract(epoch FROM ($1::pg_catalog.jsonb ->> $2)::pg_catalog.time) * 1000000)::pg_catalog.int8",
            key);
    }
    void read_date(const char* key, std::optional<std::int32_t>& into) const {
        into = field<std::int32_t>("SELECT ($1::pg_catalog.jsonb ->> $2)::pg_catalog.date - date '2000-01-01'", key);
    }
    void read_numbers(const char* key, std::vector<std::int32_t>& into) const {
        for (const auto& row : rows("SELECT e::pg_catalog.int4 FROM "
                                    "pg_catalog.jsonb_array_elements_text($1::pg_catalog.jsonb -> $2) e",
                                    key))
            into.push_back(row.get<std::int32_t>(0));
    }
    void read_dates(const char* key, std::vector<std::int32_t>& into) const {
        for (const auto& row : rows("SELECT e::pg_catalog.date - date '2000-01-01' FROM "
                                    "pg_catalog.jsonb_array_elements_text($1::pg_catalog.jsonb -> $2) e",
                                    key))
            into.push_back(row.get<std::int32_t>(0));
    }

    [[nodiscard]] std::vector<Object> list(const char* key) const {
        std::vector<Object> found;
        for (const auto& row : rows("SELECT value::text, coalesce(value ->> 'name', '') FROM "
                                    "pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb -> $2)",
                                    key))
            found.emplace_back(row.get<std::string>(0), std::string(key) + " \"" + row.get<std::string>(1) + "\"");
        return found;
    }

    void allow_only(const pg::TextArray& keys) const {
        const auto other =
            rows("SELECT k FROM pg_catalog.jsonb_object_keys($1::pg_catalog.jsonb) k WHERE k <> ALL ($2)", keys);
        if (!other.empty())
            throw invalid(
                what_ + " has \"" + pg::excerpt(other.front().get<std::string>(0)) + "\", which is not known.",
                "Nothing is guessed. The names are those of the arguments of the functions.");
    }

private:
    std::vector<pg::Row> rows(const char* sql, const pg::Argument& second) const {
        try {
            return pg::query(sql, {text_, second});
        } catch (const pg::ServerError& error) {  // the caller throws, so the failed query ends with its transaction
            throw invalid(what_ + ": the server says: " + error.what() + ".");
        }
    }

    template <class T>
    std::optional<T> field(const char* sql, const char* key) const {
        try {
            return pg::query_row(sql, {text_, std::string(key)}).value().maybe<T>(0);
        } catch (const pg::ServerError& error) {
            throw invalid(what_ + ", \"" + key + "\": the server says: " + error.what() + ".");
        }
    }

    std::string text_;
    std::string what_;
};

// ---- templates ---------------------------------------------------------------------------------------------------

template <class T>
void give(const T& from, std::optional<T>& into) {
    into = from;
}
void give(std::int64_t from, std::optional<core::IntervalParts>& into) { into = {.microseconds = from}; }
void give(const std::optional<std::int64_t>& from, std::optional<core::IntervalParts>& into) {
    into = {.microseconds = from.value_or(0)};  // zero takes it away
}

templates::TemplateArguments draft_from(const Object& object) {
    templates::TemplateArguments draft;
    pg::TextArray keys;
    templates::each_argument([&](const char* name, auto argument) {
        keys.emplace_back(name);
        object.read(name, draft.*argument);
    });
    object.allow_only(keys);
    return draft;
}

pg::TextArray people_of(const Template& of, const char* part) {
    pg::TextArray names;
    for (const auto& row : pg::query("SELECT role_name FROM jit_access.template_person WHERE template_id = $1 AND part "
                                     "= $2 ORDER BY role_name",
                                     {of.id, std::string(part)}))
        names.push_back(row.get<std::string>(0));
    return names;
}

pg::TextArray sorted(pg::TextArray names) {
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

// What cannot be altered is another template.
void check_kept(const Template& is, const Template& wanted, const templates::TemplateArguments& draft) {
    const auto refuse = [&](const char* what) {
        throw Failure(Code::invalid_argument,
                      "cannot change the " + std::string(what) + " of template \"" + is.name + "\"",
                      "It was made otherwise, and that is for its life.",
                      "Drop it with jit_drop_template when no grant of it is live, and read the policy again.");
    };
    if (draft.mode.value_or("inherit") != (is.login ? "login" : is.set_role ? "set_role" : "inherit")) refuse("mode");
    if (wanted.allow_schema_change != is.allow_schema_change) refuse("allow_schema_change");
    if (wanted.allow_code != is.allow_code) refuse("allow_code");
    if ((is.role_created ? std::optional<std::string>() : is.role_name) != draft.role) refuse("role");
}

Template wanted_from(const templates::TemplateArguments& draft, const principal::Person& me) {
    Template wanted;
    wanted.set_role = draft.mode == "set_role";
    wanted.login = draft.mode == "login";
    wanted.allow_schema_change = draft.allow_schema_change.value_or(false);
    wanted.allow_code = draft.allow_code.value_or(false);
    templates::apply_settings(draft, wanted, me);
    return wanted;
}

// What the template does not have yet, as a draft for jit_alter_template.
pg::TextArray difference(const Template& is, const Template& wanted, const templates::TemplateArguments& draft,
                         templates::TemplateArguments& change) {
    pg::TextArray what;
    const auto differs = [&](const char* name) { what.emplace_back(name); };
    templates::each_setting([&](const char* name, auto argument, auto member) {
        if (is.*member == wanted.*member) return;
        give(wanted.*member, change.*argument);
        differs(name);
    });
    if (is.at_deadline != wanted.at_deadline) {
        change.at_deadline = std::string(core::to_string(wanted.at_deadline));
        differs("at_deadline");
    }
    if (is.object_owner != wanted.object_owner && draft.object_owner) {
        change.object_owner = draft.object_owner;
        differs("object_owner");
    }
    const auto privileges = draft.privileges.value_or(pg::TextArray{});
    if (is.privileges != privileges) {
        change.privileges = privileges;
        differs("privileges");
    }
    templates::each_participant_list([&](const char* part, const char* name, auto argument) {
        const auto names = sorted((draft.*argument).value_or(pg::TextArray{}));
        if (sorted(people_of(is, part)) == names) return;
        change.*argument = names;
        differs(name);
    });
    const auto description = pg::query_row("SELECT description FROM jit_access.template WHERE id = $1", {is.id});
    if (draft.description && description.value().maybe<std::string>(0) != draft.description) {
        change.description = draft.description;
        differs("description");
    }
    return what;
}

void read_template(const Object& object, const principal::Person& me, const principal::Origin& origin,
                   std::vector<Difference>& differences) {
    const auto draft = draft_from(object);
    const auto known = pg::query_row("SELECT 1 FROM jit_access.template WHERE name = $1 AND dropped_at IS NULL",
                                     {draft.name.value_or("")});
    if (!known) {
        templates::create(draft, origin);
        differences.push_back({"created", "template", *draft.name, {}});
        return;
    }
    const auto is = templates::lock(draft.name);
    const auto wanted = wanted_from(draft, me);
    check_kept(is, wanted, draft);
    templates::TemplateArguments change;
    change.name = draft.name;
    const auto what = difference(is, wanted, draft, change);
    if (what.empty()) return;
    templates::alter(change, origin);
    differences.push_back({"changed", "template", *draft.name, what});
}

// ---- rules and people --------------------------------------------------------------------------------------------

// A rule as the document has it, however its times are spelt.
constexpr const char* rule_as_json =
    "SELECT pg_catalog.jsonb_build_object('name', name, 'effect', effect, 'templates', template_names, 'role', "
    "role_name, 'max_duration', max_duration, 'max_risk', max_risk, 'networks', networks::text[], 'windows', windows) "
    "FROM "
    "jit_access.rule ";

std::optional<std::string> rule_now(const std::string& name) {
    const auto row = pg::query_row((std::string(rule_as_json) + "WHERE name = $1").c_str(), {name});
    if (!row) return std::nullopt;
    return row->get<std::string>(0);
}

std::string rule_wanted(const rule::RuleArguments& draft) {
    std::optional<std::int64_t> longest;
    if (draft.max_duration) longest = templates::checked_duration(*draft.max_duration, "max_duration");
    return pg::query_row(
               "SELECT pg_catalog.jsonb_build_object('name', $1, 'effect', $2, 'templates', $3, 'role', $4, "
               "'max_duration', $5, 'max_risk', $6, 'networks', $7::pg_catalog.cidr[]::pg_catalog.text[], 'windows', "
               "$8)",
               {pg::nullable(draft.name), pg::nullable(draft.effect), draft.templates, pg::nullable(draft.role),
                pg::nullable_duration(longest), pg::nullable(draft.max_risk), draft.networks, draft.windows})
        .value()
        .get<std::string>(0);
}

void read_rule(const Object& object, const principal::Origin& origin, std::vector<Difference>& differences) {
    object.allow_only({"name", "effect", "templates", "role", "max_duration", "max_risk", "networks", "windows"});
    rule::RuleArguments draft;
    std::optional<pg::TextArray> templates;
    std::optional<pg::TextArray> networks;
    std::optional<pg::TextArray> windows;
    object.read("name", draft.name);
    object.read("effect", draft.effect);
    object.read("templates", templates);
    object.read("role", draft.role);
    object.read("max_duration", draft.max_duration);
    object.read("max_risk", draft.max_risk);
    object.read("networks", networks);
    object.read("windows", windows);
    draft.templates = templates.value_or(pg::TextArray{});
    draft.networks = networks.value_or(pg::TextArray{});
    draft.windows = windows.value_or(pg::TextArray{});

    const auto now = rule_now(draft.name.value_or(""));
    if (now && now == rule_wanted(draft)) return;
    if (now) rule::drop(draft.name, origin);
    rule::create(draft, origin);
    differences.push_back({now ? "changed" : "created", "rule", *draft.name, {}});
}

constexpr const char* window_as_json =
    "SELECT pg_catalog.to_jsonb(w) FROM (SELECT name, kind, time_zone, starts, lasts, weekdays, first_day, last_day, "
    "days FROM jit_access.time_window) w ";

std::optional<std::string> window_now(const std::string& name) {
    const auto row = pg::query_row((std::string(window_as_json) + "WHERE name = $1").c_str(), {name});
    if (!row) return std::nullopt;
    return row->get<std::string>(0);
}

pg::TextArray in_order(std::vector<std::int32_t> numbers) {
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    pg::TextArray items;
    for (const auto number : numbers) items.push_back(std::to_string(number));
    return items;
}

std::string window_wanted(const window::WindowArguments& draft) {
    return pg::query_row(
               "SELECT pg_catalog.to_jsonb(w) FROM (SELECT $1 AS name, $2 AS kind, $3 AS time_zone, time '00:00' + $4 "
               "AS starts, $5 AS lasts, $6::pg_catalog.int4[] AS weekdays, date '2000-01-01' + $7 AS first_day, date "
               "'2000-01-01' + $8 AS last_day, ARRAY(SELECT date '2000-01-01' + d FROM unnest($9::pg_catalog.int4[]) "
               "d ORDER BY d) AS days) w",
               {pg::nullable(draft.name), pg::nullable(draft.kind), pg::nullable(draft.time_zone),
                pg::nullable_duration(draft.starts),
                pg::Duration{templates::checked_duration(draft.lasts.value_or(core::IntervalParts{}), "lasts")},
                in_order(draft.weekdays), pg::nullable(draft.first_day), pg::nullable(draft.last_day),
                in_order(draft.days)})
        .value()
        .get<std::string>(0);
}

void read_window(const Object& object, const principal::Origin& origin, std::vector<Difference>& differences) {
    object.allow_only({"name", "kind", "time_zone", "starts", "lasts", "weekdays", "first_day", "last_day", "days"});
    window::WindowArguments draft{.starts = 0, .lasts = core::IntervalParts{.days = 1}, .kind = "open"};
    const auto unless_absent = [](auto& into, auto given) {
        if (given) into = given;
    };
    std::optional<std::int64_t> starts;
    std::optional<core::IntervalParts> lasts;
    std::optional<std::string> kind;
    object.read("name", draft.name);
    object.read("kind", kind);
    object.read("time_zone", draft.time_zone);
    object.read_time("starts", starts);
    object.read("lasts", lasts);
    object.read_numbers("weekdays", draft.weekdays);
    object.read_date("first_day", draft.first_day);
    object.read_date("last_day", draft.last_day);
    object.read_dates("days", draft.days);
    unless_absent(draft.starts, starts);
    unless_absent(draft.lasts, lasts);
    unless_absent(draft.kind, kind);

    const auto before = window_now(draft.name.value_or(""));
    if (before && before == window_wanted(draft)) return;
    if (before)
        window::replace(draft, origin);
    else
        window::create(draft, origin);
    differences.push_back({before ? "changed" : "created", "window", *draft.name, {}});
}

void read_person(const Object& object, const principal::Origin& origin, std::vector<Difference>& differences) {
    object.allow_only({"name", "logins"});
    std::optional<std::string> name;
    std::optional<pg::TextArray> logins;
    object.read("name", name);
    object.read("logins", logins);
    pg::TextArray now;
    for (const auto& row : pg::query("SELECT login_name FROM jit_access.person WHERE name = $1", {name.value_or("")}))
        now.push_back(row.get<std::string>(0));
    if (sorted(now) == sorted(logins.value_or(pg::TextArray{}))) return;
    principal::set_person(name, logins, origin);
    differences.push_back({now.empty() ? "created" : "changed", "person", *name, {}});
}

// What stands and the document does not have.
void tell_others(const std::string& document, std::vector<Difference>& differences) {
    const auto tell = [&](const char* kind, const char* sql) {
        for (const auto& row : pg::query(sql, {document}))
            differences.push_back({"not in the policy", kind, row.get<std::string>(0), {}});
    };
    tell("person",
         "SELECT DISTINCT name FROM jit_access.person WHERE NOT EXISTS (SELECT FROM "
         "pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb -> 'people') e WHERE e ->> 'name' = name) ORDER BY 1");
    tell("window",
         "SELECT name FROM jit_access.time_window WHERE NOT EXISTS (SELECT FROM "
         "pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb -> 'windows') e WHERE e ->> 'name' = name) ORDER BY 1");
    tell("template",
         "SELECT name FROM jit_access.template WHERE dropped_at IS NULL AND name <> 'jit_drill' AND NOT EXISTS "
         "(SELECT FROM pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb -> 'templates') e WHERE e ->> 'name' = "
         "name) "
         "ORDER BY 1");
    tell("rule",
         "SELECT name FROM jit_access.rule WHERE NOT EXISTS (SELECT FROM "
         "pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb -> 'rules') e WHERE e ->> 'name' = name) ORDER BY 1");
}

void read_all(const std::string& document, const principal::Person& me, const principal::Origin& origin,
              std::vector<Difference>& differences) {
    const Object policy(document, "The policy");
    policy.allow_only({"people", "windows", "templates", "rules"});
    for (const auto& person : policy.list("people")) read_person(person, origin, differences);
    for (const auto& window : policy.list("windows")) read_window(window, origin, differences);
    for (const auto& one : policy.list("templates")) read_template(one, me, origin, differences);
    for (const auto& rule : policy.list("rules")) read_rule(rule, origin, differences);
    tell_others(document, differences);
}

}  // namespace

std::string export_policy() {
    principal::require_auditor(principal::caller());
    const std::string templates =
        "SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(pg_catalog.to_jsonb(x)) ORDER BY name), "
        "'[]') FROM (SELECT name, description, mode, CASE WHEN NOT role_created THEN role_name END AS role, "
        "allow_schema_change, allow_code, privileges, at_deadline, object_owner_name AS object_owner, " +
        templates::participant_columns() + templates::setting_names() +
        " FROM jit_access.template t WHERE dropped_at IS NULL AND name <> 'jit_drill') x";
    const std::string sql =
        std::string(
            "SELECT pg_catalog.jsonb_build_object('people', (SELECT coalesce(pg_catalog.jsonb_agg("
            "pg_catalog.jsonb_build_object('name', name, 'logins', logins) ORDER BY name), '[]') FROM (SELECT name, "
            "array_agg(login_name ORDER BY login_name) AS logins FROM jit_access.person GROUP BY name) p), 'windows', "
            "(SELECT "
            "coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(w) ORDER BY w ->> 'name'), '[]') FROM (") +
        window_as_json + ") v (w)), 'templates', (" + templates +
        "), 'rules', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(r) ORDER BY r ->> 'name'), "
        "'[]') FROM (" +
        rule_as_json + ") v (r)))";
    return pg::query_row(sql.c_str()).value().get<std::string>(0);
}

std::vector<Difference> import_policy(const std::string& document, Mode mode, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    std::vector<Difference> differences;
    if (mode == Mode::apply) {
        principal::require_own_statement(me, origin, "a policy is read");
        read_all(document, me, origin, differences);
        return differences;
    }
    // A rehearsal may come from anywhere: it changes nothing.
    std::exception_ptr failed;
    (void)pg::in_subtransaction([&] {
        try {
            read_all(document, me, {}, differences);
        } catch (...) {
            failed = std::current_exception();
        }
        throw Failure(Code::invalid_argument, "rehearsed");
    });
    if (failed) std::rethrow_exception(failed);
    return differences;
}

}  // namespace jit::policy_file
