// Recurring windows: when a template may be used, and when a rule applies. Examples are on-call weeks, maintenance
// windows and holidays.
//
// A window is a local time, a time zone and the days on which it begins. The server's time zone library expands it into
// points in time, so 09:00 stays 09:00 when daylight saving time begins. core/opening_hours and core/policy decide what
// the open hours mean for a request.
//
// All functions run SQL and need a transaction. create(), replace() and drop() are called by an administrator from a
// statement of their own.
#pragma once

#include "jit_access/core/duration.hpp"
#include "jit_access/core/opening_hours.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::window {

struct WindowArguments {
    std::optional<std::string> name;
    std::optional<std::string> time_zone;
    std::optional<std::int64_t> starts;  // microseconds since midnight
    std::optional<core::IntervalParts> lasts;
    std::optional<std::string> kind;        // open or closed
    std::vector<std::int32_t> weekdays;     // 1 (Monday) to 7 (Sunday); empty: every day
    std::optional<std::int32_t> first_day;  // days since 2000-01-01
    std::optional<std::int32_t> last_day;   // inclusive
    std::vector<std::int32_t> days;         // days since 2000-01-01; empty: every day
};

void create(const WindowArguments& arguments, const principal::Origin& origin);
// Replaces the window with the same name. Templates and rules that name the window then use the new one.
void replace(const WindowArguments& arguments, const principal::Origin& origin);
void drop(const std::optional<std::string>& name, const principal::Origin& origin);

// Checks names that a template or a rule is about to store: each must name a window, and none may occur twice. Locks
// the windows, so that they cannot be dropped before the transaction ends. Throws invalid_argument.
void check_names(const pg::TextArray& names);

// How far ahead the next opening time is searched for, in microseconds.
inline constexpr std::int64_t max_lookahead = 90 * core::us_per_day;

// The state of these windows at a moment, how long they stay open and when they open next. The search for the closing
// time covers at least the next `min_lookahead` microseconds. A window that does not exist is closed.
[[nodiscard]] core::Hours hours_at(std::int64_t moment, const pg::TextArray& names, std::int64_t min_lookahead = 0);

// The same for jit_hours(): checks the arguments, and uses the current time if `at` is absent.
[[nodiscard]] core::Hours explain(const pg::TextArray& names, const std::optional<pg::Instant>& at);

}  // namespace jit::window
