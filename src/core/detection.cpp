#include "jit_access/core/detection.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "jit_access/core/text.hpp"

namespace jit::core {

std::vector<const Sign*> signs_in(std::string_view kind, std::string_view sqlstate) {
    std::vector<const Sign*> found;
    for (const auto& sign : signs)
        if (sign.kind == kind && (sign.sqlstate.empty() || sign.sqlstate == sqlstate)) found.push_back(&sign);
    return found;
}

bool Recent::add(Occurrence occurrence) {
    const auto later = [](const Occurrence& a, const Occurrence& b) { return a.at < b.at; };
    const auto place = std::upper_bound(seen_.begin(), seen_.end(), occurrence, later);
    const auto first =
        std::find_if(seen_.begin(), place, [&](const Occurrence& seen) { return occurrence.at - seen.at <= within_; });
    const auto before = static_cast<std::size_t>(std::distance(first, place));
    seen_.insert(place, occurrence);
    const auto newest = seen_.back().at;
    std::erase_if(seen_, [&](const Occurrence& seen) { return newest - seen.at > within_; });
    if (seen_.size() > threshold_) seen_.erase(seen_.begin(), seen_.end() - static_cast<std::ptrdiff_t>(threshold_));
    return before + 1 >= threshold_;
}

namespace {

constexpr std::int64_t us_per_hour = 3'600'000'000;
constexpr std::int64_t us_of_day = 24 * us_per_hour;

constexpr std::int64_t floor_of(std::int64_t a, std::int64_t b) noexcept { return a / b - (a % b < 0 ? 1 : 0); }

}  // namespace

std::int64_t day_of(std::int64_t at) noexcept { return floor_of(at, us_of_day); }

std::size_t hour_of(std::int64_t at) noexcept {
    return static_cast<std::size_t>((at - day_of(at) * us_of_day) / us_per_hour);
}

namespace {

using Days = std::array<std::int32_t, hours_of_day>;

std::int32_t around(const Days& days, std::size_t hour, std::size_t reach) noexcept {
    std::int32_t count = 0;
    for (std::size_t i = 0; i <= 2 * reach; ++i) count += days.at((hour + hours_of_day + i - reach) % hours_of_day);
    return count;
}

}  // namespace

bool is_unusual_hour(const Days& days, std::size_t hour) noexcept {
    constexpr std::int32_t share = 50;  // one in so many is usual
    std::int32_t all = 0;
    std::size_t usual = 0;
    for (std::size_t h = 0; h < hours_of_day; ++h) {
        all += days.at(h);
        if (around(days, h, 1) > 0) ++usual;
    }
    return usual <= hours_of_day / 2 && around(days, hour, 2) * share < all;
}

std::string network_of(const std::optional<std::string>& address) {
    if (!address || address->empty()) return "local";
    std::array<unsigned char, 16> bytes{};
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (inet_pton(AF_INET, address->c_str(), bytes.data()) == 1) {
        bytes[3] = 0;
        return std::string(inet_ntop(AF_INET, bytes.data(), text.data(), text.size())) + "/24";
    }
    // A zone names the interface of this machine.
    if (inet_pton(AF_INET6, address->substr(0, address->find('%')).c_str(), bytes.data()) == 1) {
        std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
        return std::string(inet_ntop(AF_INET6, bytes.data(), text.data(), text.size())) + "/64";
    }
    return plain(*address);
}

std::optional<std::int64_t> much(std::vector<std::int64_t> totals) {
    constexpr std::size_t fewest = 30;
    constexpr std::int64_t crowd = 100;
    constexpr std::int64_t share_of_most = 3;
    if (totals.size() < fewest) return std::nullopt;
    const auto place = totals.begin() + static_cast<std::ptrdiff_t>(totals.size() * 19 / 20);
    std::nth_element(totals.begin(), place, totals.end());
    const auto most = *std::max_element(place, totals.end());
    return std::max({*place, most / share_of_most, crowd});
}

std::string plain(std::string_view text) {
    constexpr std::size_t longest = 200;
    std::string shown;
    for (std::size_t i = 0; i < text.size() && shown.size() < longest;) {
        const auto first = static_cast<unsigned char>(text[i]);
        const std::size_t size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        const auto letter = text.substr(i, size);
        i += size;
        shown += letter == " " || !fault_in_text(letter) ? std::string(letter) : "?";
    }
    return shown;
}

}  // namespace jit::core
