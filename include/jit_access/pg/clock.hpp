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
};
// Both, for what is asked before every statement: the wall clock is read at most once in a tenth of a millisecond, in
// between the boot clock carries it on.
[[nodiscard]] Moment moment() noexcept;

// Names this boot of this machine; boot times of another boot mean nothing.
[[nodiscard]] std::string boot_id();

}  // namespace jit::pg
