// Notifications of state changes on the channel jit_access: id and state, nothing else. Any user can send on any
// channel, so a listener must read the views for the truth.
//
// The worker sends them after it has taken the control events over. A NOTIFY in the transaction that makes the change
// could fail its commit, and would make all such commits wait for each other (the server serializes them by a lock that
// is held until the commit is done, commands/async.c). Here a notification that cannot be sent is dropped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace jit::notification {

// The payload for a control event; nothing when the event changes no state.
[[nodiscard]] std::optional<std::string> of_event(std::string_view kind, std::optional<std::int64_t> id);

// Sends in this order, in transactions of its own. The first failure in a row is logged, and the rest is dropped.
void send(const std::vector<std::string>& notices);

}  // namespace jit::notification
