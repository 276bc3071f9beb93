// Recurring windows, once the server has expanded them into intervals: is it open, until when, and when does it open?
//
// All times are microseconds since 2000-01-01 UTC. An interval holds its first moment and not its last; one that ends
// where it begins, or before, is none. What is closed wins over what is open.
#pragma once

#include "jit_access/core/zone.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace jit::core {

struct Stretch {
    std::int64_t from = 0;
    std::int64_t to = 0;
    bool operator==(const Stretch&) const = default;
};

// In order, without empty, adjacent or overlapping ones.
[[nodiscard]] std::vector<Stretch> merged(std::vector<Stretch> stretches);
// What is open and not closed; the same form.
[[nodiscard]] std::vector<Stretch> without(const std::vector<Stretch>& open, const std::vector<Stretch>& closed);

// What windows say about a moment. Without any, everything is open for ever.
struct Hours {
    bool limited = false;
    std::optional<std::int64_t> until;  // open, and closes then; nothing: it is closed
    std::optional<std::int64_t> next;   // closed, and opens then; nothing: not within what was looked at

    [[nodiscard]] bool open() const noexcept { return !limited || until.has_value(); }
    bool operator==(const Hours&) const = default;
};

[[nodiscard]] Hours hours_at(std::int64_t moment, const std::vector<Stretch>& open, const std::vector<Stretch>& closed);

// "2026-11-24 08:00:00 UTC", for messages.
[[nodiscard]] std::string format_moment(std::int64_t moment);

}  // namespace jit::core
