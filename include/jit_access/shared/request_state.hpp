// Changes of the state of a request. advance() is the only function that writes jit_access.request.state after the row
// was inserted. It uses core::next() to determine the state that follows, so only the transition table in
// core/lifecycle.hpp decides.
//
// The caller holds the lock on the row (SELECT ... FOR UPDATE) from the moment it read `from` until the transaction
// ends. That lock serialises the changes of one request. The function needs a transaction and throws the errors of the
// server.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jit_access/core/lifecycle.hpp"

namespace jit::request_state {

// Stores the state that follows, with the control event. `by` is the actor on the record. A terminal state also stores
// the time, the actor and the reason, and makes the clean-up of the grant due if the grant had a role. Returns the new
// state; throws wrong_state when the event is not allowed in the state `from`.
core::State advance(std::int64_t id, core::State from, core::Event event, const std::string& by,
                    const std::optional<std::string>& reason);

}  // namespace jit::request_state
