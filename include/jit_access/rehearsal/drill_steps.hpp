// The steps of a drill, as the process that conducts it takes them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "jit_access/pg/worker.hpp"

namespace jit::drill {

// What the process is started for; travels as plain bytes.
struct Plan {
    std::int64_t id = 0;
    std::int64_t patience = 0;  // microseconds
    std::array<char, 64> by{};  // login that has started it
};

// What is known of the drill so far.
struct Scene {
    Plan plan;
    pg::Process requester = nullptr;
    std::vector<pg::Process> actors;  // he and all others
    std::int64_t grant = 0;           // 0: nothing was asked for yet
    std::int64_t deadline = 0;        // wall clock
};

// Each answers how long it took, in microseconds, and throws what is not as it should be.
struct NamedStep {
    const char* name;
    std::int64_t (*take)(Scene& scene);
};
[[nodiscard]] std::array<NamedStep, 9> steps() noexcept;

}  // namespace jit::drill
