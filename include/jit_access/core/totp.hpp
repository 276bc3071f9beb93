// Time-based one-time codes (RFC 6238): the form of a code, the time step it belongs to, whether it is accepted, and
// the lock after wrong codes. The caller provides the function that computes the code of a step.
//
// A code is accepted once: only if its step is later than that of the last accepted code. It may be one step early or
// late, because clocks differ. Wrong codes are counted until a right one is accepted. From the fifth wrong code on, no
// code is accepted for a time that doubles with each further wrong code, up to an hour. In the end an attacker has one
// guess an hour, which succeeds with a probability of three in a million.
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
inline constexpr std::size_t recovery_bytes = 10;  // random bytes in each

enum class CodeKind : std::uint8_t { malformed, one_time, recovery };

// A one-time code has six digits. A recovery code has four groups of four of a-z and 2-7 (base32, RFC 4648, in small
// letters), separated by hyphens. A text with blanks is malformed.
[[nodiscard]] CodeKind kind_of_code(std::string_view text) noexcept;
[[nodiscard]] std::string recovery_code(const std::array<std::byte, recovery_bytes>& random);

[[nodiscard]] std::uint64_t step_at(std::int64_t unix_seconds) noexcept;

using Code6 = std::array<char, code_digits>;
// Compares in constant time, so that the time does not reveal how many digits were right.
[[nodiscard]] bool same_code(const Code6& a, std::string_view b) noexcept;

// Returns the step around `now` that has this code. The codes of all steps are computed, even after a match, so that
// the time is constant.
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

// Returns the microseconds for which no code is accepted after this many wrong codes in a row.
[[nodiscard]] std::int64_t lock_after(std::uint32_t failures) noexcept;

// The code history of one identity, kept in shared memory under a lock.
struct CodeHistory {
    std::uint64_t last_step = 0;    // of the last accepted code
    std::int64_t locked_until = 0;  // on the boot clock
    std::uint32_t failures = 0;     // in a row
};

enum class Admission : std::uint8_t { accepted, wrong, locked };

// Counts an attempt. `step` is the time step to which the given code belongs, if it is one of the steps around the
// current one. Codes of steps up to `floor` are refused.
[[nodiscard]] Admission admit_code(CodeHistory& history, std::optional<std::uint64_t> step, std::uint64_t floor,
                                   std::int64_t boot) noexcept;
// The same for a recovery code, which has no step.
[[nodiscard]] Admission admit_recovery(CodeHistory& history, bool is_right, std::int64_t boot) noexcept;

}  // namespace jit::core
