#include "jit_access/policy/window.hpp"

#include <algorithm>
#include <set>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/shared/control_event.hpp"

namespace jit::window {

using core::Code;
using core::Failure;
using core::invalid;

namespace {

constexpr std::int64_t min_length = 60 * core::us_per_second;
constexpr std::int64_t max_length = 7 * core::us_per_day;
constexpr std::size_t max_days = 1000;
constexpr std::size_t max_names = 16;
// The largest distance from 2000-01-01, in days, at which dates can still be computed. Infinite dates are farther away.
constexpr std::int32_t max_distance_days = 365'000;

const std::string& checked_name(const std::optional<std::string>& name) {
    if (!name) throw invalid("window name", "It is NULL.", "Name the window.");
    if (const auto fault = core::fault_in_template_name(*name)) throw invalid("window name", *fault);
    return *name;
}

// Accepts only names with an area, and UTC, because they mean the same in every session. The server looks up an
// abbreviation first, in a list that any user can choose (timezone_abbreviations), and takes other text as a POSIX
// offset.
void check_time_zone(const std::optional<std::string>& zone) {
    const char* hint = "Write it as in pg_timezone_names, for example 'Europe/Berlin' or 'UTC'.";
    if (!zone) throw invalid("time zone", "It is NULL.", hint);
    const std::string quoted = "\"" + pg::excerpt(*zone) + "\"";
    if (*zone != "UTC" && zone->find('/') == std::string::npos)
        throw invalid("time zone", quoted + " is an abbreviation, an offset or no time zone.", hint);
    const bool exists =
        !zone->starts_with("posix/") &&
        pg::query_row("SELECT 1 FROM pg_catalog.pg_timezone_names WHERE name = $1", {*zone}).has_value();
    if (!exists) throw invalid("time zone", "The server has no time zone " + quoted + ".", hint);
}

std::int64_t checked_start(const std::optional<std::int64_t>& starts) {
    if (!starts) throw invalid("starts", "It is NULL.", "Give the local time at which it begins, for example '09:00'.");
    if (*starts >= core::us_per_day) throw invalid("starts", "A day has no 24:00.", "Write 00:00 of the next day.");
    return *starts;
}

std::int64_t checked_length(const std::optional<core::IntervalParts>& lasts) {
    if (!lasts) throw invalid("lasts", "It is NULL.", "Give the time for which it is open, for example '8 hours'.");
    const auto length = core::reduce(*lasts);
    const char* hint = "Write 1 minute to 7 days.";
    if (length.fault) throw invalid("lasts", core::explain(*length.fault), hint);
    if (length.microseconds < min_length || length.microseconds > max_length)
        throw invalid("lasts", "It is " + core::format_duration(length.microseconds) + ".", hint);
    return length.microseconds;
}

void check_days(const WindowArguments& arguments) {
    for (const auto day : arguments.weekdays)
        if (day < 1 || day > 7)
            throw invalid("weekdays", std::to_string(day) + " is not valid.", "Write 1 for Monday to 7 for Sunday.");
    if (arguments.first_day && arguments.last_day && *arguments.first_day > *arguments.last_day)
        throw invalid("last_day", "It is before the first one.");
    if (arguments.days.size() > max_days)
        throw invalid("days",
                      "There are " + std::to_string(arguments.days.size()) + " of them; at most 1000 are possible.");
    auto days = arguments.days;
    for (const auto& day : {arguments.first_day, arguments.last_day})
        if (day) days.push_back(*day);
    const auto is_too_far = [](std::int32_t day) { return day < -max_distance_days || day > max_distance_days; };
    if (std::any_of(days.begin(), days.end(), is_too_far))
        throw invalid("days", "A day is infinite or a thousand years away.", "Leave it out.");
}

// The elements of an integer array, as text, sorted and without duplicates.
pg::TextArray sorted_texts(std::vector<std::int32_t> numbers) {
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    pg::TextArray texts;
    for (const auto number : numbers) texts.push_back(std::to_string(number));
    return texts;
}

void require_unused(const std::string& name) {
    const auto users = pg::query(R"sql(
        SELECT 'template "' || name || '"'
        FROM jit_access.template
        WHERE $1 = ANY (windows) AND dropped_at IS NULL
        UNION ALL
        SELECT 'rule "' || name || '"'
        FROM jit_access.rule
        WHERE $1 = ANY (windows)
        ORDER BY 1
    )sql",
                                 {name});
    if (users.empty()) return;
    pg::TextArray names;
    for (const auto& row : users) names.push_back(row.get<std::string>(0));
    throw Failure(Code::wrong_state, "cannot drop window \"" + name + "\"", "It is named by " + core::join(names) + ".",
                  "Change the template with jit_alter_template, drop the rule with jit_drop_rule.");
}

}  // namespace

void create(const WindowArguments& arguments, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto& name = checked_name(arguments.name);
    if (arguments.kind != "open" && arguments.kind != "closed")
        throw invalid("kind", arguments.kind ? "\"" + pg::excerpt(*arguments.kind) + "\" is not valid." : "It is NULL.",
                      "Use open or closed.");
    const auto starts = checked_start(arguments.starts);
    const auto length = checked_length(arguments.lasts);
    check_days(arguments);
    check_time_zone(arguments.time_zone);
    if (pg::query_row("SELECT 1 FROM jit_access.time_window WHERE name = $1", {name}))
        throw invalid("window name", "Window \"" + name + "\" exists already.", "Drop it first, with jit_drop_window.");
    principal::require_own_statement(me, origin, "window \"" + name + "\" is made");
    // The primary key prevents two windows with one name. The event repeats the stored window, as text that does not
    // depend on DateStyle.
    const auto row =
        pg::query_row(R"sql(
        INSERT INTO jit_access.time_window
            (name, kind, time_zone, starts, lasts, weekdays, first_day, last_day, days, created_by, created_at)
        VALUES ($1, $2, $3, time '00:00' + $4, $5, $6::integer[], date '2000-01-01' + $7, date '2000-01-01' + $8,
                ARRAY(SELECT date '2000-01-01' + d FROM unnest($9::integer[]) d ORDER BY d),
                $10, pg_catalog.clock_timestamp())
        RETURNING starts::text,
                  array_to_string(weekdays, ', '),
                  to_char(first_day, 'YYYY-MM-DD'),
                  to_char(last_day, 'YYYY-MM-DD'),
                  array_to_string(ARRAY(SELECT to_char(d, 'YYYY-MM-DD') FROM unnest(days) d), ', ')
    )sql",
                      {name, *arguments.kind, *arguments.time_zone, pg::Duration{starts}, pg::Duration{length},
                       sorted_texts(arguments.weekdays), pg::nullable(arguments.first_day),
                       pg::nullable(arguments.last_day), sorted_texts(arguments.days), me.name})
            .value();
    control_event::write("window created", std::nullopt, me.name,
                         {{"window", name},
                          {"kind", arguments.kind},
                          {"time_zone", arguments.time_zone},
                          {"starts", row.get<std::string>(0)},
                          {"lasts", core::format_duration(length)},
                          {"weekdays", row.get<std::string>(1)},
                          {"first_day", row.maybe<std::string>(2)},
                          {"last_day", row.maybe<std::string>(3)},
                          {"days", row.get<std::string>(4)}});
}

void replace(const WindowArguments& arguments, const principal::Origin& origin) {
    principal::require_admin(principal::caller());
    // Until the commit, the row lock of DELETE keeps other sessions from naming the window.
    pg::execute("DELETE FROM jit_access.time_window WHERE name = $1", {checked_name(arguments.name)});
    create(arguments, origin);
}

void drop(const std::optional<std::string>& name, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto& window_name = checked_name(name);
    // Conflicts with FOR KEY SHARE in check_names(), so a template or rule that is about to name the window either
    // commits first and is found by require_unused(), or does not find the window.
    if (!pg::query_row("SELECT 1 FROM jit_access.time_window WHERE name = $1 FOR UPDATE", {window_name}))
        throw invalid("window name", "There is no window \"" + window_name + "\".", "Look at jit_access.windows.");
    require_unused(window_name);
    principal::require_own_statement(me, origin, "window \"" + window_name + "\" is dropped");
    pg::execute("DELETE FROM jit_access.time_window WHERE name = $1", {window_name});
    control_event::write("window dropped", std::nullopt, me.name, {{"window", window_name}});
}

void check_names(const pg::TextArray& names) {
    if (names.size() > max_names)
        throw invalid("windows", "There are " + std::to_string(names.size()) + " of them; at most 16 are possible.");
    std::set<std::string> checked;
    for (const auto& name : names) {
        if (!checked.insert(name).second) throw invalid("windows", "\"" + pg::excerpt(name) + "\" is named twice.");
        if (!pg::query_row("SELECT 1 FROM jit_access.time_window WHERE name = $1 FOR KEY SHARE", {name}))
            throw invalid("windows", "There is no window \"" + pg::excerpt(name) + "\".",
                          "Make it with jit_create_window; names are matched exactly.");
    }
}

core::Hours hours_at(std::int64_t moment, const pg::TextArray& names, std::int64_t min_lookahead) {
    if (names.empty()) return {};
    const auto end = moment + std::max(min_lookahead, max_lookahead) + core::us_per_day;
    std::vector<core::Stretch> open;
    std::vector<core::Stretch> closed;
    std::set<std::string> existing;
    bool names_open_window = false;
    // The expansion begins nine days early, because an occurrence may have begun seven days before the moment
    // (max_length), and the local date differs from the date in UTC by up to one day. The outer join keeps windows that
    // do not occur at all.
    for (const auto& row : pg::query(R"sql(
             SELECT w.name,
                    w.kind = 'open',
                    (o.day + w.starts) AT TIME ZONE w.time_zone,
                    (o.day + w.starts + w.lasts) AT TIME ZONE w.time_zone
             FROM jit_access.time_window w
             LEFT JOIN LATERAL (
                 SELECT f.day + i AS day
                 FROM (SELECT ($2 AT TIME ZONE w.time_zone)::date - 9 AS day,
                              ($3 AT TIME ZONE w.time_zone)::date AS last) f,
                      pg_catalog.generate_series(0, f.last - f.day) i
                 WHERE (w.weekdays = '{}' OR extract(isodow FROM f.day + i)::integer = ANY (w.weekdays))
                   AND (w.days = '{}' OR f.day + i = ANY (w.days))
                   AND f.day + i >= coalesce(w.first_day, f.day)
                   AND f.day + i <= coalesce(w.last_day, f.last)) o ON true
             WHERE w.name = ANY ($1)
         )sql",
                                     {names, pg::Instant{moment}, pg::Instant{end}})) {
        existing.insert(row.get<std::string>(0));
        const bool is_open = row.get<bool>(1);
        names_open_window |= is_open;
        if (!row.is_null(2))
            (is_open ? open : closed).push_back({row.get<pg::Instant>(2).us, row.get<pg::Instant>(3).us});
    }
    // A missing window is closed, and it is unknown when it would open.
    if (existing.size() != names.size()) return {.limited = true, .until = std::nullopt, .next = std::nullopt};
    // If there are only closed windows, all other time is open.
    if (!names_open_window) open.push_back({moment, end});
    auto hours = core::hours_at(moment, open, closed);
    if (hours.next && *hours.next > moment + max_lookahead) hours.next.reset();
    return hours;
}

core::Hours explain(const pg::TextArray& names, const std::optional<pg::Instant>& at) {
    const auto moment = at ? at->us : pg::wall_clock();
    constexpr auto max_distance = max_distance_days * core::us_per_day;
    if (moment < -max_distance || moment > max_distance)
        throw invalid("at", "It is infinite or a thousand years away.", "Name another moment.");
    check_names(names);
    return hours_at(moment, names);
}

}  // namespace jit::window
