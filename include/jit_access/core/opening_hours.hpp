// Recurring windows of a template, after the server has expanded them into stretches of time: whether they are open at
// a moment, until when, and when they open next.
//
// Times are microseconds since 2000-01-01 00:00 UTC. A stretch is half-open: it contains `from` but not `to`. A stretch
// that ends at or before its beginning is empty. Where open and closed windows overlap, the template is closed.
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

// Returns the union, sorted, without empty, adjacent or overlapping stretches.
[[nodiscard]] std::vector<Stretch> merged(std::vector<Stretch> stretches);
// Returns the parts of `open` that no closed stretch covers, in the same form.
[[nodiscard]] std::vector<Stretch> without(const std::vector<Stretch>& open, const std::vector<Stretch>& closed);

// The state of the windows at a moment. A template without windows is always open.
struct Hours {
    bool limited = false;
    std::optional<std::int64_t> until;  // when open windows close; nothing: closed now
    std::optional<std::int64_t> next;   // when closed windows open; nothing: not within the given stretches

    [[nodiscard]] bool open() const noexcept { return !limited || until.has_value(); }
    bool operator==(const Hours&) const = default;
};

[[nodiscard]] Hours hours_at(std::int64_t moment, const std::vector<Stretch>& open, const std::vector<Stretch>& closed);

// Returns a text such as "2026-11-24 08:00:00 UTC", for messages.
[[nodiscard]] std::string format_moment(std::int64_t moment);

}  // namespace jit::core
