// The duration of a grant: an SQL interval, reduced once to microseconds.
//
// Intervals compare and add by different rules: '1200 mons -35999 days' compares as equal to one day but adds about 525
// days, and a day can have 23 or 25 hours when the clocks change. So a duration is a fixed number of microseconds: a
// day is 24 hours, and months and years are refused. An interval that cannot be reduced is an error.
#pragma once

#include "jit_access/core/zone.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace jit::core {

// The three fields of a PostgreSQL interval.
struct IntervalParts {
    std::int32_t months = 0;
    std::int32_t days = 0;
    std::int64_t microseconds = 0;
};

inline constexpr std::int64_t us_per_second = 1'000'000;
inline constexpr std::int64_t us_per_day = 86'400 * us_per_second;

// This is much longer than any useful deadline, and small enough that no later addition can overflow.
inline constexpr std::int64_t max_duration = 3660 * us_per_day;

enum class DurationFault : std::uint8_t { months, infinite, overflow, not_positive, too_short, too_long };

struct DurationResult {
    std::int64_t microseconds = 0;
    std::optional<DurationFault> fault;
};

// The shortest duration is one second, because a shorter grant would end before the requester could use it.
[[nodiscard]] DurationResult reduce(const IntervalParts& interval) noexcept;

// Returns a DETAIL sentence.
[[nodiscard]] const char* explain(DurationFault fault) noexcept;

// Returns a text such as "2h", "1d 30m" or "1.5s", for messages and views.
[[nodiscard]] std::string format_duration(std::int64_t microseconds);

}  // namespace jit::core
