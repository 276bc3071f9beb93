// Local days and hours: time zones with daylight saving time, weekends, holidays.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace life {

using Instant = std::int64_t;  // microseconds since 2000-01-01 UTC, as the server counts
using Day = std::chrono::sys_days;

inline constexpr std::int64_t second = 1'000'000;
inline constexpr std::int64_t minute = 60 * second;
inline constexpr std::int64_t hour = 60 * minute;
inline constexpr std::int64_t day_length = 24 * hour;
inline constexpr Day epoch = std::chrono::year{2000} / 1 / 1;

inline Instant start_of(Day day) { return (day - epoch).count() * day_length; }
inline Day day_of(Instant at) { return epoch + std::chrono::days(at / day_length); }

enum class Summer { none, europe, america };

struct Date {
    unsigned month, day;
};

struct Site {
    const char* name;
    int offset_minutes;  // of standard time from UTC
    Summer summer;
    std::vector<Date> holidays;
};

// The sites of the company, and for each of them the site to which its people travel.
inline const std::array<Site, 5> sites{{
    {"berlin", 60, Summer::europe, {{1, 1}, {5, 1}, {10, 3}, {12, 25}, {12, 26}}},
    {"london", 0, Summer::europe, {{1, 1}, {8, 25}, {12, 25}, {12, 26}}},
    {"newyork", -300, Summer::america, {{1, 1}, {7, 4}, {9, 7}, {11, 11}, {11, 26}, {12, 25}}},
    {"toronto", -300, Summer::america, {{1, 1}, {7, 1}, {9, 7}, {10, 12}, {12, 25}, {12, 26}}},
    {"bangalore", 330, Summer::none, {{1, 26}, {8, 15}, {10, 2}, {11, 8}, {12, 25}}},
}};
inline constexpr std::array<std::size_t, 5> visits{1, 0, 3, 2, 4};

inline bool is_summer(Summer summer, Day day) {
    using namespace std::chrono;
    const auto year = year_month_day(day).year();
    if (summer == Summer::none) return false;
    if (summer == Summer::europe) {
        const Day from = year / March / Sunday[last];
        const Day to = year / October / Sunday[last];
        return day >= from && day < to;
    }
    const Day from = year / March / Sunday[2];
    const Day to = year / November / Sunday[1];
    return day >= from && day < to;
}

// Returns the moment this many hours (which may be more than 24) after midnight of a local day.
inline Instant local_time(const Site& site, Day day, double hours) {
    const auto offset = site.offset_minutes + (is_summer(site.summer, day) ? 60 : 0);
    return start_of(day) - offset * minute + static_cast<Instant>(hours * static_cast<double>(hour));
}

// 0 (Monday) to 6.
inline unsigned weekday_of(Day day) { return std::chrono::weekday(day).iso_encoding() - 1; }
inline bool is_weekend(Day day) { return weekday_of(day) >= 5; }

inline bool is_holiday(const Site& site, Day day) {
    const auto date = std::chrono::year_month_day(day);
    for (const auto& holiday : site.holidays)
        if (static_cast<unsigned>(date.month()) == holiday.month && static_cast<unsigned>(date.day()) == holiday.day)
            return true;
    return false;
}

// For COPY: 2026-11-23 16:11:51.123456+00
inline std::string to_text(Instant at) {
    const auto day = day_of(at);
    const auto date = std::chrono::year_month_day(day);
    const auto us = at - start_of(day);
    char text[40];
    std::snprintf(text, sizeof text, "%04d-%02u-%02u %02d:%02d:%02d.%06d+00", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<int>(us / hour),
                  static_cast<int>(us / minute % 60), static_cast<int>(us / second % 60),
                  static_cast<int>(us % second));
    return text;
}

}  // namespace life
