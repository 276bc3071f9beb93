// Recurring windows: when a template may be used, and when a rule applies. On-call weeks, maintenance, holidays.
//
// A window is a local time, a time zone and the days it falls on. The server's own library says what moments these are,
// so 09:00 stays 09:00 when the clocks change. What follows for a request says core/policy.
#pragma once

#include "jit_access/core/duration.hpp"
#include "jit_access/core/window.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::window {

struct WindowArguments {
    std::optional<std::string> name;
    std::optional<std::string> time_zone;
    std::optional<std::int64_t> starts;  // microseconds since midnight
    std::optional<core::IntervalParts> lasts;
    std::optional<std::string> kind;        // open or closed
    std::vector<std::int32_t> weekdays;     // 1 (Monday) to 7; none: every day
    std::optional<std::int32_t> first_day;  // days since 2000-01-01
    std::optional<std::int32_t> last_day;   // included
    std::vector<std::int32_t> days;         // none: any
};

void create(const WindowArguments& draft, const principal::Origin& origin);
// In the place of the one of that name, which may be in use.
void replace(const WindowArguments& draft, const principal::Origin& origin);
void drop(const std::optional<std::string>& name, const principal::Origin& origin);

// Names of windows, as a template or a rule is to keep them: they are there, once each, and stay while this transaction
// lasts. Throws invalid_argument.
void check_names(const pg::TextArray& names);

// How far ahead an opening is looked for.
inline constexpr std::int64_t furthest_opening = 90 * core::us_per_day;

// What these windows say about a moment; `reach` is how long at least it has to be known whether they stay open. A
// window that is not there is closed.
[[nodiscard]] core::Hours hours_at(std::int64_t moment, const pg::TextArray& names, std::int64_t reach = 0);

// The same for people, about any moment that dates can tell; nothing: now.
[[nodiscard]] core::Hours explain(const pg::TextArray& names, const std::optional<pg::Instant>& at);

}  // namespace jit::window
