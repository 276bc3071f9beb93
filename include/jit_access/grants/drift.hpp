// Drift: roles and memberships that differ from the tables. Superusers can cause it, by hand or by restoring a
// dump of the roles. The worker finds it within one nap, puts it on the record, and revokes memberships that were not
// approved.
#pragma once

#include <cstdint>

namespace jit::drift {

// Called by the worker once per nap, outside of a transaction. Repeats the comparison if a role or membership may have
// changed. Failures are logged.
void sweep();
// Called by the worker in each round. Performs a complete sweep if another process has requested one.
void sweep_if_requested();

// For any other process: requests a complete sweep, waits for it, and returns the number of differences that were
// found. Throws wrong_state when the worker does not answer within a minute.
std::uint64_t sweep_and_wait();

}  // namespace jit::drift
