// What has changed, told to whoever listens on the channel jit_access: id and state, nothing else. Anybody can send on
// any channel, so who hears it looks at the views; they are the truth.
//
// The worker sends it, when it has taken the control events over: NOTIFY in the transaction that makes a change could
// fail its commit, and have all such commits wait for each other. Here it fails alone, and is dropped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace jit::notification {

// What is said of a control event; nothing, when it changes no state.
[[nodiscard]] std::optional<std::string> of_event(std::string_view kind, std::optional<std::int64_t> id);

// In transactions of their own, in this order. What cannot be sent is lost; the first time it is in the server log.
void send(const std::vector<std::string>& notices);

}  // namespace jit::notification
