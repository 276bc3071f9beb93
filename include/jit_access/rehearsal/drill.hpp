// The drill: takes a canary template through the whole life of a grant on the running server, with the code that all
// requests use. Nothing is simulated. Processes that are logged in as service identities (drill_actor.hpp) request,
// approve and use the grant; a conductor process (drill_conductor.hpp) checks each step and stores its result in
// jit_access.drill_step.
//
// There is one drill at a time. The session that started it waits for its end. If that session ends, the drill
// continues.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jit_access/core/duration.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::drill {

// A row of jit_access.drill_step.
struct Step {
    std::int32_t number = 0;
    std::string name;
    bool ok = false;
    std::string latency_ms;
    std::optional<std::string> detail;
};

// For administrators; `step_timeout` is how long each step may take. Throws core::Failure if a drill is running, the
// drill is not set up, or no background worker is free.
std::vector<Step> run(const std::optional<core::IntervalParts>& step_timeout);
// Called by the job. Returns a summary of one line. In the worker, the drill is only started: a drill needs the worker,
// so the worker must not wait for it.
std::string run_as_job();

}  // namespace jit::drill
