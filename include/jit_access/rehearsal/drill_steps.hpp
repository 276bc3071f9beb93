// The steps of a drill, which the conductor runs.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "jit_access/pg/worker.hpp"

namespace jit::drill {

// The arguments of the conductor process, copied as plain bytes.
struct ConductorOrder {
    std::int64_t drill = 0;
    std::int64_t step_timeout = 0;      // microseconds
    std::array<char, 64> started_by{};  // login
};

// The state of the drill between its steps.
struct Progress {
    ConductorOrder order;
    pg::Process requester = nullptr;
    std::vector<pg::Process> actors;  // all, including the requester
    std::int64_t grant = 0;           // 0: not requested yet
    std::int64_t deadline = 0;        // wall clock
};

// A step checks one thing. It returns the latency in microseconds and throws core::Failure if the check fails.
struct DrillStep {
    const char* name;
    std::int64_t (*run)(Progress& progress);
};
[[nodiscard]] std::array<DrillStep, 9> steps() noexcept;

}  // namespace jit::drill
