#include "jit_access/core/duration.hpp"

#include <limits>

namespace jit::core {

DurationResult reduce(const IntervalParts& interval) noexcept {
    constexpr auto min32 = std::numeric_limits<std::int32_t>::min();
    constexpr auto max32 = std::numeric_limits<std::int32_t>::max();
    constexpr auto min64 = std::numeric_limits<std::int64_t>::min();
    constexpr auto max64 = std::numeric_limits<std::int64_t>::max();

    // PostgreSQL 17 and later store an infinite interval as the extreme value of every field.
    const auto has_fields = [&](std::int32_t m, std::int32_t d, std::int64_t us) {
        return interval.months == m && interval.days == d && interval.microseconds == us;
    };
    if (has_fields(max32, max32, max64) || has_fields(min32, min32, min64)) return {0, DurationFault::infinite};
    if (interval.months != 0) return {0, DurationFault::months};

    std::int64_t total = 0;
    if (__builtin_mul_overflow(std::int64_t{interval.days}, us_per_day, &total) ||
        __builtin_add_overflow(total, interval.microseconds, &total))
        return {0, DurationFault::overflow};
    if (total <= 0) return {0, DurationFault::not_positive};
    if (total < us_per_second) return {0, DurationFault::too_short};
    if (total > max_duration) return {0, DurationFault::too_long};
    return {total, std::nullopt};
}

const char* explain(DurationFault fault) noexcept {
    switch (fault) {
        case DurationFault::months: return "Months and years have no fixed length.";
        case DurationFault::infinite: return "A grant has to end.";
        case DurationFault::overflow: return "The interval does not fit in microseconds.";
        case DurationFault::not_positive: return "A duration is greater than zero.";
        case DurationFault::too_short: return "The shortest duration is one second.";
        case DurationFault::too_long: return "The longest duration is 3660 days.";
    }
    return "";
}

std::string format_duration(std::int64_t microseconds) {
    struct Unit {
        std::int64_t size;
        const char* name;
    };
    constexpr Unit units[] = {{us_per_day, "d"}, {3600 * us_per_second, "h"}, {60 * us_per_second, "m"}};

    std::string text = microseconds < 0 ? "-" : "";
    std::uint64_t rest =
        microseconds < 0 ? 0 - static_cast<std::uint64_t>(microseconds) : static_cast<std::uint64_t>(microseconds);
    bool is_first = true;
    const auto append = [&](const std::string& part) {
        if (!is_first) text += ' ';
        text += part;
        is_first = false;
    };
    for (const auto& unit : units) {
        const auto size = static_cast<std::uint64_t>(unit.size);
        if (rest >= size) append(std::to_string(rest / size) + unit.name);
        rest %= size;
    }
    if (rest == 0 && !is_first) return text;

    std::string seconds = std::to_string(rest / us_per_second);
    if (const auto fraction = rest % us_per_second; fraction != 0) {
        std::string digits = std::to_string(us_per_second + static_cast<std::int64_t>(fraction)).substr(1);
        digits.erase(digits.find_last_not_of('0') + 1);
        seconds += "." + digits;
    }
    append(seconds + "s");
    return text;
}

}  // namespace jit::core
