// The two clocks of a deadline. Never now() of SQL, never a snapshot.
#pragma once

#include <cstdint>
#include <string>

namespace jit::pg {

// Wall time in microseconds since 2000-01-01 UTC, as timestamptz counts. It can be set.
[[nodiscard]] std::int64_t wall_clock() noexcept;
// Microseconds since the machine started, sleep included (CLOCK_BOOTTIME). It cannot be set.
[[nodiscard]] std::int64_t boot_clock() noexcept;

struct Moment {
    std::int64_t wall = 0;
    std::int64_t boot = 0;
    bool operator==(const Moment&) const = default;
};
// In this order a wall time that the boot clock has carried on lags behind, and does not go back when it is read anew.
[[nodiscard]] inline Moment both_clocks() noexcept {
    const auto wall = wall_clock();
    return {wall, boot_clock()};
}

// Names this boot of this machine; boot times of another boot mean nothing.
[[nodiscard]] std::string boot_id();

}  // namespace jit::pg
