// The two clocks of a deadline. Deadlines are never compared with SQL's now() or with a snapshot, because both stand
// still during a transaction.
#pragma once

#include <cstdint>
#include <string>

namespace jit::pg {

// Microseconds since 2000-01-01 UTC, as timestamptz counts. This clock can be set.
[[nodiscard]] std::int64_t wall_clock() noexcept;
// Microseconds since the machine booted, including time in suspend (CLOCK_BOOTTIME). This clock cannot be set.
[[nodiscard]] std::int64_t boot_clock() noexcept;

struct Moment {
    std::int64_t wall = 0;
    std::int64_t boot = 0;
    bool operator==(const Moment&) const = default;
};
// Reads the wall clock first. A wall time that is extrapolated with the boot clock is then never ahead of a wall time
// that is read later.
[[nodiscard]] inline Moment both_clocks() noexcept {
    const auto wall = wall_clock();
    return {wall, boot_clock()};
}

// Identifies this boot of this machine; boot times of different boots cannot be compared. Returns an empty string if
// the system has no boot id.
[[nodiscard]] std::string boot_id();

}  // namespace jit::pg
