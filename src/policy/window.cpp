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

constexpr std::int64_t shortest = 60 * core::us_per_second;
constexpr std::int64_t longest = 7 * core::us_per_day;
constexpr std::size_t max_days = 1000;
constexpr std::size_t max_names = 16;

const std::string& checked_name(const std::optional<std::string>& name) {
    if (!name) throw invalid("window name", "It is NULL.", "Name the window.");
    if (const auto fault = core::fault_in_template_name(*name)) throw invalid("window name", *fault);
    return *name;
}

// Names with an area mean the same in every session: an abbreviation is looked up first, in a list that anybody can
// choose (timezone_abbreviations), and anything else can be an offset in the notation of POSIX.
void check_time_zone(const std::optional<std::string>& zone) {
    const char* hint = "Write it as in pg_timezone_names, for example 'Europe/Berlin' or 'UTC'.";
    if (!zone) throw invalid("time zone", "It is NULL.", hint);
    const std::string quoted = "\"" + pg::excerpt(*zone) + "\"";
    if (*zone != "UTC" && zone->find('/') == std::string::npos)
        throw invalid("time zone", quoted + " is an abbreviation, an offset or no time zone.", hint);
    const bool known = !zone->starts_with("posix/") &&
                       pg::query_row("SELECT 1 FROM pg_catalog.pg_timezone_names WHERE name = $1", {*zone}).has_value();
    if (!known) throw invalid("time zone", "The server knows no " + quoted + ".", hint);
}

std::int64_t checked_start(const std::optional<std::int64_t>& starts) {
    if (!starts) throw invalid("starts", "It is NULL.", "Say at which local time it begins, for example '09:00'.");
    if (*starts >= core::us_per_day) throw invalid("starts", "A day has no 24:00.", "Write 00:00 of the next day.");
    return *starts;
}

std::int64_t checked_length(const std::optional<core::IntervalParts>& lasts) {
    if (!lasts) throw invalid("lasts", "It is NULL.", "Say how long it is open, for example '8 hours'.");
    const auto result = core::reduce(*lasts);
    const char* hint = "Write 1 minute to 7 days.";
    if (result.fault) throw invalid("lasts", core::explain(*result.fault), hint);
    if (result.microseconds < shortest || result.microseconds > longest)
        throw invalid("lasts", "It is " + core::format_duration(result.microseconds) + ".", hint);
    return result.microseconds;
}

void check_days(const WindowArguments& draft) {
    for (const auto day : draft.weekdays)
        if (day < 1 || day > 7)
            throw invalid("weekdays", std::to_string(day) + " is none.", "Write 1 for Monday to 7 for Sunday.");
    if (draft.first_day && draft.last_day && *draft.first_day > *draft.last_day)
        throw invalid("last_day", "It is before the first one.");
    if (draft.days.size() > max_days)
        throw invalid("days",
                      "There are " + std::to_string(draft.days.size()) + " of them; at most 1000 are possible.");
    // Within which dates can be computed with; also catches infinity.
    constexpr std::int32_t furthest = 365'000;
    auto days = draft.days;
    for (const auto& day : {draft.first_day, draft.last_day})
        if (day) days.push_back(*day);
    if (std::any_of(days.begin(), days.end(), [](std::int32_t day) { return day < -furthest || day > furthest; }))
        throw invalid("days", "A day is infinite or a thousand years away.", "Leave it out.");
}

pg::TextArray texts(std::vector<std::int32_t> numbers) {
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    pg::TextArray items;
    for (const auto number : numbers) items.push_back(std::to_string(number));
    return items;
}

void refuse_used(const std::string& name) {
    const auto users = pg::query(
        "SELECT 'template \"' || name || '\"' FROM jit_access.template WHERE $1 = ANY (windows) AND dropped_at IS NULL "
        "UNION ALL SELECT 'rule \"' || name || '\"' FROM jit_access.rule WHERE $1 = ANY (windows) ORDER BY 1",
        {name});
    if (users.empty()) return;
    pg::TextArray names;
    for (const auto& row : users) names.push_back(row.get<std::string>(0));
    throw Failure(Code::wrong_state, "cannot drop window \"" + name + "\"", "It is named by " + core::join(names) + ".",
                  "Change the template with jit_alter_template, drop the rule with jit_drop_rule.");
}

}  // namespace

void create(const WindowArguments& draft, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto& name = checked_name(draft.name);
    if (draft.kind != "open" && draft.kind != "closed")
        throw invalid("kind", draft.kind ? "\"" + pg::excerpt(*draft.kind) + "\" is none." : "It is NULL.",
                      "Say open or closed.");
    const auto starts = checked_start(draft.starts);
    const auto lasts = checked_length(draft.lasts);
    check_days(draft);
    check_time_zone(draft.time_zone);
    if (pg::query_row("SELECT 1 FROM jit_access.time_window WHERE name = $1", {name}))
        throw invalid("window name", "Window \"" + name + "\" exists already.", "Drop it first, with jit_drop_window.");
    principal::require_own_statement(me, origin, "window \"" + name + "\" is made");
    const auto row =
        pg::query_row(
            "INSERT INTO jit_access.time_window (name, kind, time_zone, starts, lasts, weekdays, first_day, last_day, "
            "days, created_by, created_at) VALUES ($1, $2, $3, time '00:00' + $4, $5, $6::integer[], date '2000-01-01' "
            "+ $7, date '2000-01-01' + $8, ARRAY(SELECT date '2000-01-01' + d FROM unnest($9::integer[]) d ORDER BY "
            "d), $10, pg_catalog.clock_timestamp()) RETURNING starts::text, array_to_string(weekdays, ', '), "
            "to_char(first_day, 'YYYY-MM-DD'), to_char(last_day, 'YYYY-MM-DD'), array_to_string(ARRAY(SELECT "
            "to_char(d, 'YYYY-MM-DD') FROM unnest(days) d), ', ')",
            {name, *draft.kind, *draft.time_zone, pg::Duration{starts}, pg::Duration{lasts}, texts(draft.weekdays),
             pg::nullable(draft.first_day), pg::nullable(draft.last_day), texts(draft.days), me.name})
            .value();
    control_event::write("window created", std::nullopt, me.name,
                         {{"window", name},
                          {"kind", draft.kind},
                          {"time_zone", draft.time_zone},
                          {"starts", row.get<std::string>(0)},
                          {"lasts", core::format_duration(lasts)},
                          {"weekdays", row.get<std::string>(1)},
                          {"first_day", row.maybe<std::string>(2)},
                          {"last_day", row.maybe<std::string>(3)},
                          {"days", row.get<std::string>(4)}});
}

void replace(const WindowArguments& draft, const principal::Origin& origin) {
    principal::require_admin(principal::caller());
    pg::execute("DELETE FROM jit_access.time_window WHERE name = $1", {checked_name(draft.name)});
    create(draft, origin);
}

void drop(const std::optional<std::string>& name, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto& gone = checked_name(name);
    // Waits for who is about to name it.
    if (!pg::query_row("SELECT 1 FROM jit_access.time_window WHERE name = $1 FOR UPDATE", {gone}))
        throw invalid("window name", "There is no window \"" + gone + "\".", "Look at jit_access.windows.");
    refuse_used(gone);
    principal::require_own_statement(me, origin, "window \"" + gone + "\" is dropped");
    pg::execute("DELETE FROM jit_access.time_window WHERE name = $1", {gone});
    control_event::write("window dropped", std::nullopt, me.name, {{"window", gone}});
}

void check_names(const pg::TextArray& names) {
    if (names.size() > max_names)
        throw invalid("windows", "There are " + std::to_string(names.size()) + " of them; at most 16 are possible.");
    std::set<std::string> seen;
    for (const auto& name : names) {
        if (!seen.insert(name).second) throw invalid("windows", "\"" + pg::excerpt(name) + "\" is named twice.");
        if (!pg::query_row("SELECT 1 FROM jit_access.time_window WHERE name = $1 FOR KEY SHARE", {name}))
            throw invalid("windows", "There is no window \"" + pg::excerpt(name) + "\".",
                          "Make it with jit_create_window; names are matched exactly.");
    }
}

core::Hours hours_at(std::int64_t moment, const pg::TextArray& names, std::int64_t reach) {
    if (names.empty()) return {};
    const auto end = moment + std::max(reach, furthest_opening) + core::us_per_day;
    std::vector<core::Stretch> open;
    std::vector<core::Stretch> closed;
    std::set<std::string> found;
    bool any_open = false;
    // An occurrence may have begun seven days before; a date is another one elsewhere on earth.
    for (const auto& row : pg::query(
             "SELECT w.name, w.kind = 'open', (o.day + w.starts) AT TIME ZONE w.time_zone, (o.day + w.starts + "
             "w.lasts) AT TIME ZONE w.time_zone FROM jit_access.time_window w LEFT JOIN LATERAL (SELECT f.day + i AS "
             "day FROM (SELECT ($2 AT TIME ZONE w.time_zone)::date - 9 AS day, ($3 AT TIME ZONE w.time_zone)::date AS "
             "last) f, pg_catalog.generate_series(0, f.last - f.day) i WHERE (w.weekdays = '{}' OR extract(isodow FROM "
             "f.day + i)::integer = ANY (w.weekdays)) AND (w.days = '{}' OR f.day + i = ANY (w.days)) AND f.day + i >= "
             "coalesce(w.first_day, f.day) AND f.day + i <= coalesce(w.last_day, f.last)) o ON true WHERE w.name = ANY "
             "($1)",
             {names, pg::Instant{moment}, pg::Instant{end}})) {
        found.insert(row.get<std::string>(0));
        any_open |= row.get<bool>(1);
        if (!row.is_null(2))
            (row.get<bool>(1) ? open : closed).push_back({row.get<pg::Instant>(2).us, row.get<pg::Instant>(3).us});
    }
    if (found.size() != names.size()) return {.limited = true, .until = std::nullopt, .next = std::nullopt};
    // Who names only what is closed means the rest.
    if (!any_open) open.push_back({moment, end});
    auto hours = core::hours_at(moment, open, closed);
    if (hours.next && *hours.next > moment + furthest_opening) hours.next.reset();
    return hours;
}

core::Hours explain(const pg::TextArray& names, const std::optional<pg::Instant>& at) {
    const auto moment = at ? at->us : pg::wall_clock();
    constexpr auto furthest = 365'000 * core::us_per_day;
    if (moment < -furthest || moment > furthest)
        throw invalid("at", "It is infinite or a thousand years away.", "Name another moment.");
    check_names(names);
    return hours_at(moment, names);
}

}  // namespace jit::window
