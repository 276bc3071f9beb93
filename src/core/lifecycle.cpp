#include "jit_access/core/lifecycle.hpp"

namespace jit::core {

namespace {

constexpr std::array<std::string_view, state_count> state_names{
    "pending", "denied", "cancelled", "lapsed", "scheduled", "active", "suspended", "ended", "revoked"};

constexpr std::array<std::string_view, event_count> event_names{"deny",    "cancel", "lapse", "schedule", "activate",
                                                                "suspend", "resume", "end",   "revoke"};

constexpr std::array<std::string_view, event_count> event_pasts{
    "denied", "cancelled", "lapsed", "scheduled", "activated", "suspended", "resumed", "ended", "revoked"};

constexpr std::array<std::string_view, 3> action_names{"terminate", "cancel", "grace"};

}  // namespace

std::string_view to_string(State state) noexcept { return state_names.at(static_cast<std::size_t>(state)); }

std::optional<State> state_from(std::string_view text) noexcept {
    for (std::size_t i = 0; i < state_names.size(); ++i)
        if (state_names.at(i) == text) return static_cast<State>(i);
    return std::nullopt;
}

std::string_view to_string(Event event) noexcept { return event_names.at(static_cast<std::size_t>(event)); }

std::string_view to_past(Event event) noexcept { return event_pasts.at(static_cast<std::size_t>(event)); }

std::optional<State> state_after(std::string_view past) noexcept {
    if (past == "requested") return State::pending;
    for (const auto& transition : transitions)
        if (to_past(transition.event) == past) return transition.to;
    return std::nullopt;
}

std::string_view to_string(AtDeadline action) noexcept { return action_names.at(static_cast<std::size_t>(action)); }

std::optional<AtDeadline> at_deadline_from(std::string_view text) noexcept {
    for (std::size_t i = 0; i < action_names.size(); ++i)
        if (action_names.at(i) == text) return static_cast<AtDeadline>(i);
    return std::nullopt;
}

}  // namespace jit::core
