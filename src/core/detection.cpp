#include "jit_access/core/detection.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "jit_access/core/encoding.hpp"
#include "jit_access/core/text.hpp"

namespace jit::core {

std::vector<const AlertRule*> rules_that_count(std::string_view kind, std::string_view sqlstate) {
    std::vector<const AlertRule*> rules;
    for (const auto& rule : alert_rules) {
        const auto& signal = rule.signal;
        if (rule.evaluator != Evaluator::occurrences || signal.kind != kind) continue;
        if (signal.sqlstate.empty() || signal.sqlstate == sqlstate) rules.push_back(&rule);
    }
    return rules;
}

bool OccurrenceWindow::add(Occurrence occurrence) {
    const auto is_earlier = [](const Occurrence& a, const Occurrence& b) { return a.at < b.at; };
    const auto place = std::upper_bound(occurrences_.begin(), occurrences_.end(), occurrence, is_earlier);
    const auto first = std::find_if(occurrences_.begin(), place,
                                    [&](const Occurrence& earlier) { return occurrence.at - earlier.at <= within_; });
    const auto before = static_cast<std::size_t>(std::distance(first, place));
    occurrences_.insert(place, occurrence);
    const auto newest = occurrences_.back().at;
    std::erase_if(occurrences_, [&](const Occurrence& one) { return newest - one.at > within_; });
    if (occurrences_.size() > threshold_)
        occurrences_.erase(occurrences_.begin(), occurrences_.end() - static_cast<std::ptrdiff_t>(threshold_));
    return before + 1 >= threshold_;
}

namespace {

constexpr std::int64_t us_per_hour = 3'600'000'000;
constexpr std::int64_t us_per_day = 24 * us_per_hour;

// Rounds towards negative infinity, because times before 2000 are negative.
constexpr std::int64_t floor_divide(std::int64_t a, std::int64_t b) noexcept { return a / b - (a % b < 0 ? 1 : 0); }

}  // namespace

std::int64_t day_of(std::int64_t at) noexcept { return floor_divide(at, us_per_day); }

std::size_t hour_of(std::int64_t at) noexcept {
    return static_cast<std::size_t>((at - day_of(at) * us_per_day) / us_per_hour);
}

namespace {

using Days = std::array<std::int32_t, hours_of_day>;

// Returns the sum of the days for an hour and for the `reach` hours before and after it; hour 0 follows hour 23.
std::int32_t days_around(const Days& days, std::size_t hour, std::size_t reach) noexcept {
    std::int32_t count = 0;
    for (std::size_t i = 0; i <= 2 * reach; ++i) count += days.at((hour + hours_of_day + i - reach) % hours_of_day);
    return count;
}

}  // namespace

bool is_unusual_hour(const Days& days, std::size_t hour) noexcept {
    constexpr std::int32_t usual_share = 50;  // one day in fifty makes an hour usual
    std::int32_t all = 0;
    std::size_t active_hours = 0;
    for (std::size_t h = 0; h < hours_of_day; ++h) {
        all += days.at(h);
        if (days_around(days, h, 1) > 0) ++active_hours;
    }
    return active_hours <= hours_of_day / 2 && days_around(days, hour, 2) * usual_share < all;
}

std::string network_of(const std::optional<std::string>& address) {
    if (!address || address->empty()) return "local";
    std::array<unsigned char, 16> bytes{};
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (inet_pton(AF_INET, address->c_str(), bytes.data()) == 1) {
        bytes[3] = 0;
        return std::string(inet_ntop(AF_INET, bytes.data(), text.data(), text.size())) + "/24";
    }
    // inet_pton() does not accept a zone (fe80::1%eth0). A zone names an interface of this machine, not a network.
    if (inet_pton(AF_INET6, address->substr(0, address->find('%')).c_str(), bytes.data()) == 1) {
        std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
        return std::string(inet_ntop(AF_INET6, bytes.data(), text.data(), text.size())) + "/64";
    }
    return printable(*address);
}

std::optional<std::int64_t> usual_row_limit(std::vector<std::int64_t> totals) {
    constexpr std::size_t min_grants = 30;
    constexpr std::int64_t min_rows = 100;
    constexpr std::int64_t share_of_max = 3;
    if (totals.size() < min_grants) return std::nullopt;
    const auto percentile = totals.begin() + static_cast<std::ptrdiff_t>(totals.size() * 19 / 20);
    std::nth_element(totals.begin(), percentile, totals.end());
    const auto max = *std::max_element(percentile, totals.end());
    return std::max({*percentile, max / share_of_max, min_rows});
}

std::string printable(std::string_view text) {
    constexpr std::size_t max_bytes = 200;
    std::string result;
    for (std::size_t i = 0; i < text.size() && result.size() < max_bytes;) {
        const auto character = text.substr(i, utf8_length(static_cast<unsigned char>(text[i])));
        i += character.size();
        result += character == " " || !fault_in_text(character) ? std::string(character) : "?";
    }
    return result;
}

}  // namespace jit::core
