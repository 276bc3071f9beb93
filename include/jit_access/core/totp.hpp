// One-time codes by time (RFC 6238): what a code looks like, which step it is of, whether it counts, and how long one
// waits after wrong ones. What computes the code of a step is given by the caller.
//
// A code counts once: only one of a later step than the last that was accepted. It may be one step early or late, for
// clocks that differ. Wrong codes are counted until a right one comes; from the fifth on nothing is accepted for a
// time, which doubles with each further one. That is at most a guess an hour, of three in a million.
#pragma once

#include "jit_access/core/zone.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace jit::core {

inline constexpr std::size_t code_digits = 6;
inline constexpr std::int64_t step_seconds = 30;
inline constexpr std::uint64_t code_skew = 1;  // steps

inline constexpr std::size_t recovery_codes = 10;
inline constexpr std::size_t recovery_bytes = 10;  // random ones, in each

enum class CodeKind : std::uint8_t { malformed, one_time, recovery };

// Six digits; or four groups of four of a-z and 2-7, with hyphens. Nothing else, no blanks.
[[nodiscard]] CodeKind kind_of_code(std::string_view text) noexcept;
[[nodiscard]] std::string recovery_code(const std::array<std::byte, recovery_bytes>& random);

[[nodiscard]] std::uint64_t step_at(std::int64_t unix_seconds) noexcept;

using Code6 = std::array<char, code_digits>;
// Takes as long wherever they differ.
[[nodiscard]] bool same_code(const Code6& a, std::string_view b) noexcept;

// The step that the code is of, around the one it is now; all of them are computed, whichever fits.
template <class CodeOf>
[[nodiscard]] std::optional<std::uint64_t> step_of_code(std::string_view code, std::uint64_t now, CodeOf&& code_of) {
    std::optional<std::uint64_t> found;
    for (auto step = now - code_skew; step <= now + code_skew; ++step)
        if (same_code(code_of(step), code)) found = step;
    return found;
}

inline constexpr std::uint32_t free_attempts = 5;
inline constexpr std::int64_t first_lock = 60'000'000;  // microseconds
inline constexpr std::int64_t max_lock = 3'600'000'000;

// How long nothing is accepted after so many wrong codes in a row.
[[nodiscard]] std::int64_t lock_after(std::uint32_t failures) noexcept;

// What is known of one identity's codes; for shared memory, under a lock.
struct CodeHistory {
    std::uint64_t last_step = 0;    // that was accepted
    std::int64_t locked_until = 0;  // boot clock
    std::uint32_t failures = 0;     // in a row
};

enum class Admission : std::uint8_t { accepted, wrong, locked };

// Counts an attempt. `step`: of the code, if it is one that was or will be right about now. Nothing up to `floor`
// counts.
[[nodiscard]] Admission admit_code(CodeHistory& history, std::optional<std::uint64_t> step, std::uint64_t floor,
                                   std::int64_t boot) noexcept;
// The same for a recovery code, which is right or not.
[[nodiscard]] Admission admit_recovery(CodeHistory& history, bool is_right, std::int64_t boot) noexcept;

}  // namespace jit::core
