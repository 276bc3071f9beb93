// Notifications of state changes on the channel jit_access. They contain only the id and the state. Any user can send
// on any channel, so a listener must check the state in the views.
//
// The worker sends them after it has taken over the control events. A NOTIFY in the transaction that makes the change
// could make its commit fail, and would make all such commits wait for each other (the server serializes them by a lock
// that is held until the commit is done, commands/async.c). A notification that the worker cannot send is dropped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace jit::notification {

// Returns the payload for a control event; nothing if the event changes no state.
[[nodiscard]] std::optional<std::string> of_event(std::string_view kind, std::optional<std::int64_t> id);

// Sends in this order, in transactions of its own. If one fails, the rest is dropped; only the first of successive
// failures is logged.
void send(const std::vector<std::string>& notices);

}  // namespace jit::notification
