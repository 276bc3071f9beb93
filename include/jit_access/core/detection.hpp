// What is odd: the arithmetic of the rules by which alerts are found. The clock is that of the records, in microseconds
// since 2000, so that what is read late is judged as it happened.
#pragma once

#include "jit_access/core/zone.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace jit::core {

// ---- what a row of the record is a sign of
// ----------------------------------------------------------------------------

enum class About : std::uint8_t { login, holder, member, nobody };  // whose alert it is
enum class CountedBy : std::uint8_t { none, of_template, grant };   // what is counted together

struct Sign {
    std::string_view rule;
    std::string_view kind;
    std::string_view sqlstate;  // of a refusal; empty: any
    About about = About::login;
    CountedBy subject = CountedBy::none;
    bool names_grant = false;  // in the alert
    bool is_told = false;      // the alert was raised with what is on the record
};

// A row that is the sign of several is one of each.
inline constexpr std::array signs{
    Sign{"repeated_requests", "requested", {}, About::login, CountedBy::of_template},
    Sign{"repeated_denials", "denied", {}, About::holder},
    Sign{"refusal_burst", "refusal", {}, About::login, CountedBy::grant, true},
    Sign{"failed_second_factor", "refusal", "JA020"},
    Sign{"self_approval", "refusal", "JA006"},
    Sign{"trap_approval", "refusal", "JA018"},
    Sign{"break_glass", "break-glass", {}, About::login, CountedBy::grant, true, true},
    Sign{"break_glass_not_justified", "reviewed", {}, About::holder, CountedBy::grant, true, true},
    Sign{"drift", "drift", {}, About::member, CountedBy::grant, true},
    Sign{"record_lag", "record lagged", {}, About::nobody},
    Sign{"chain_broken", "chain broken", {}, About::nobody},
    Sign{"clock_jump", "clock jumped", {}, About::nobody},
    Sign{"scenario_failed", "scenario failed", {}, About::nobody},
    Sign{"drill_failed", "drill failed", {}, About::nobody},
    Sign{"review_overdue", "review overdue", {}, About::nobody},
};

[[nodiscard]] std::vector<const Sign*> signs_in(std::string_view kind, std::string_view sqlstate);

// ---- so many within a time
// --------------------------------------------------------------------------------------------

struct Occurrence {
    std::int64_t at = 0;
    std::int64_t seq = 0;
    bool operator==(const Occurrence&) const = default;
};

// The newest sightings of one thing, as many as a threshold needs: whether it is reached depends on no other.
class Recent {
public:
    Recent(std::size_t threshold, std::int64_t within) : threshold_(threshold), within_(within) {}

    // Whether there are so many within the time that ends with this one. What comes late counts at its own time.
    bool add(Occurrence occurrence);
    // Those that the time holds, in order.
    [[nodiscard]] std::span<const Occurrence> seen() const noexcept { return seen_; }

private:
    std::size_t threshold_;
    std::int64_t within_;
    std::vector<Occurrence> seen_;
};

// ---- what is usual
// ----------------------------------------------------------------------------------------------------

// Of the day, in UTC.
inline constexpr std::size_t hours_of_day = 24;
[[nodiscard]] std::size_t hour_of(std::int64_t at) noexcept;
[[nodiscard]] std::int64_t day_of(std::int64_t at) noexcept;

// On how many days somebody was there at each hour: whether hardly any of them falls within two hours of this one. Who
// is there at all hours has no usual ones: where they and those beside them are more than half of the day, none is odd.
[[nodiscard]] bool is_unusual_hour(const std::array<std::int32_t, hours_of_day>& days, std::size_t hour) noexcept;

// The /24 or /64 of an address; "local" without one, what cannot be read as it stands.
[[nodiscard]] std::string network_of(const std::optional<std::string>& address);

// How much is much for a template: what all but one in twenty of its last grants have moved, no less than a third of
// the most of them, nor than a crowd of rows that says nothing. Nothing: too few grants are known.
[[nodiscard]] std::optional<std::int64_t> much(std::vector<std::int64_t> totals);

// ---- what an alert shows
// ----------------------------------------------------------------------------------------------

// One line of plain text: what a terminal would obey or hide is a question mark, what is long is cut.
[[nodiscard]] std::string plain(std::string_view text);

}  // namespace jit::core
