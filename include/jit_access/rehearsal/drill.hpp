// The drill: a canary template is taken through its whole life on the running server, by the code that everybody's
// requests take. Nothing is simulated: processes that have logged in as service identities (drill_actor.hpp) ask,
// approve and use it; a process of its own conducts, looks at each step and keeps what it found in
// jit_access.drill_step.
//
// One at a time. Whoever starts it waits for its end, and may leave: it goes on without him.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jit_access/core/duration.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::drill {

struct Step {
    std::int32_t number = 0;
    std::string name;
    bool ok = false;
    std::string latency_ms;
    std::optional<std::string> detail;
};

// Patience is how long each step may take.
std::vector<Step> run(const std::optional<core::IntervalParts>& patience);
// The same as a scheduled job: what came of it, in a line. In the worker, which it needs, it is only started.
std::string as_job();

}  // namespace jit::drill
