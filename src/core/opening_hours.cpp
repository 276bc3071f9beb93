#include "jit_access/core/opening_hours.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "jit_access/core/duration.hpp"

namespace jit::core {

std::vector<Stretch> merged(std::vector<Stretch> stretches) {
    std::erase_if(stretches, [](const Stretch& stretch) { return stretch.from >= stretch.to; });
    std::sort(stretches.begin(), stretches.end(), [](const Stretch& a, const Stretch& b) { return a.from < b.from; });
    std::vector<Stretch> result;
    for (const auto& stretch : stretches) {
        if (!result.empty() && stretch.from <= result.back().to)
            result.back().to = std::max(result.back().to, stretch.to);
        else
            result.push_back(stretch);
    }
    return result;
}

std::vector<Stretch> without(const std::vector<Stretch>& open, const std::vector<Stretch>& closed) {
    std::vector<Stretch> result;
    const auto holes = merged(closed);
    for (auto left : merged(open)) {
        for (const auto& hole : holes) {
            if (hole.to <= left.from) continue;
            if (hole.from >= left.to) break;
            if (hole.from > left.from) result.push_back({left.from, hole.from});
            left.from = hole.to;
        }
        if (left.from < left.to) result.push_back(left);
    }
    return result;
}

Hours hours_at(std::int64_t moment, const std::vector<Stretch>& open, const std::vector<Stretch>& closed) {
    for (const auto& stretch : without(open, closed)) {
        if (stretch.to <= moment) continue;
        if (stretch.from <= moment) return {.limited = true, .until = stretch.to, .next = std::nullopt};
        return {.limited = true, .until = std::nullopt, .next = stretch.from};
    }
    return {.limited = true, .until = std::nullopt, .next = std::nullopt};
}

std::string format_moment(std::int64_t moment) {
    using namespace std::chrono;
    constexpr auto day = us_per_day;
    auto days_since = moment / day;
    if (moment % day < 0) --days_since;
    const auto seconds = (moment - days_since * day) / us_per_second;
    constexpr sys_days epoch = year{2000} / January / 1;
    const year_month_day date(epoch + days(static_cast<int>(days_since)));
    std::array<char, 64> text{};
    const auto size = std::snprintf(text.data(), text.size(), "%d-%02u-%02u %02d:%02d:%02d UTC",
                                    static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                                    static_cast<unsigned>(date.day()), static_cast<int>(seconds / 3600),
                                    static_cast<int>(seconds / 60 % 60), static_cast<int>(seconds % 60));
    return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace jit::core
