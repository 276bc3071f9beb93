// Drift: roles and memberships that are not what the tables say. Superusers can make them; the worker sees them within
// one nap, puts them on the record and takes away what nobody approved.
#pragma once

#include <cstdint>

namespace jit::drift {

// The worker's, once in a nap: looks again where something may have changed.
void sweep();
// The worker's, in each round: a sweep that somebody waits for, which looks at everything.
void sweep_if_requested();

// For any other process: has the worker make such a sweep and answers how much drift it has found. Throws when the
// worker does not answer.
std::uint64_t sweep_and_wait();

}  // namespace jit::drift
