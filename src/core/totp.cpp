#include "jit_access/core/totp.hpp"

#include <algorithm>

namespace jit::core {

namespace {

constexpr std::string_view alphabet = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::size_t group = 4;
constexpr std::size_t recovery_length = 19;

bool is_recovery_code(std::string_view text) noexcept {
    if (text.size() != recovery_length) return false;
    for (std::size_t i = 0; i < text.size(); ++i)
        if (i % (group + 1) == group ? text[i] != '-' : alphabet.find(text[i]) == std::string_view::npos) return false;
    return true;
}

bool is_one_time_code(std::string_view text) noexcept {
    return text.size() == code_digits &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Admission fail(CodeHistory& history, std::int64_t boot) noexcept {
    ++history.failures;
    if (const auto wait = lock_after(history.failures); wait != 0) history.locked_until = boot + wait;
    return Admission::wrong;
}

}  // namespace

CodeKind kind_of_code(std::string_view text) noexcept {
    if (is_one_time_code(text)) return CodeKind::one_time;
    return is_recovery_code(text) ? CodeKind::recovery : CodeKind::malformed;
}

std::string recovery_code(const std::array<std::byte, recovery_bytes>& random) {
    std::string text;
    std::uint32_t bits = 0;
    int held = 0;
    for (const auto byte : random) {
        bits = (bits << 8) | std::to_integer<std::uint32_t>(byte);
        for (held += 8; held >= 5; held -= 5) {
            if (text.size() % (group + 1) == group) text += '-';
            text += alphabet[(bits >> (held - 5)) & 31U];
        }
    }
    return text;
}

std::uint64_t step_at(std::int64_t unix_seconds) noexcept {
    // The result is at least 1, because callers subtract the skew from it.
    return static_cast<std::uint64_t>(std::max(unix_seconds, step_seconds) / step_seconds);
}

bool same_code(const Code6& a, std::string_view b) noexcept {
    if (b.size() != a.size()) return false;
    unsigned difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
    return difference == 0;
}

std::int64_t lock_after(std::uint32_t failures) noexcept {
    if (failures < free_attempts) return 0;
    const auto doublings = std::min<std::uint32_t>(failures - free_attempts, 16);
    return std::min(first_lock << doublings, max_lock);
}

Admission admit_code(CodeHistory& history, std::optional<std::uint64_t> step, std::uint64_t floor,
                     std::int64_t boot) noexcept {
    if (boot < history.locked_until) return Admission::locked;
    if (!step || *step <= std::max(history.last_step, floor)) return fail(history, boot);
    history.last_step = *step;
    history.failures = 0;
    return Admission::accepted;
}

Admission admit_recovery(CodeHistory& history, bool is_right, std::int64_t boot) noexcept {
    if (boot < history.locked_until) return Admission::locked;
    if (!is_right) return fail(history, boot);
    history.failures = 0;
    return Admission::accepted;
}

}  // namespace jit::core
