// The life cycle of a request and of the grant that it becomes, which share one id.
//
// The transition table is the only place that defines which state may follow which. SQL, the worker and the diagram in
// docs/ARCHITECTURE.md derive from it or are compared with it by test/arch/lifecycle. A state without a transition is
// terminal.
#pragma once

#include "jit_access/core/zone.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace jit::core {

enum class State : std::uint8_t { pending, denied, cancelled, lapsed, scheduled, active, suspended, ended, revoked };

enum class Event : std::uint8_t {
    deny,      // by an approver
    cancel,    // by the requester, before the grant was active
    lapse,     // because it was not decided or not activated in time
    schedule,  // approved, with a start in the future
    activate,  // approved, and the start time has come: from now on the privileges exist
    suspend,   // because of an anomaly, a changed template, or a cloned or restored server
    resume,    // the suspension was lifted
    end,       // the deadline was reached
    revoke     // by hand, by policy, by drift
};

// The action at the deadline on a session that has used the grant.
enum class AtDeadline : std::uint8_t {
    terminate,  // the session is terminated
    cancel,     // its transaction is aborted, and the session continues with its own privileges
    grace       // the running statement may continue for an interval, then the session is terminated
};

inline constexpr std::size_t state_count = 9;
inline constexpr std::size_t event_count = 9;

struct Transition {
    State from;
    Event event;
    State to;
};

inline constexpr std::array transitions{
    Transition{State::pending, Event::deny, State::denied},
    Transition{State::pending, Event::cancel, State::cancelled},
    Transition{State::pending, Event::lapse, State::lapsed},
    Transition{State::pending, Event::schedule, State::scheduled},
    Transition{State::pending, Event::activate, State::active},
    Transition{State::scheduled, Event::cancel, State::cancelled},
    Transition{State::scheduled, Event::lapse, State::lapsed},
    Transition{State::scheduled, Event::activate, State::active},
    Transition{State::scheduled, Event::revoke, State::revoked},
    Transition{State::active, Event::suspend, State::suspended},
    Transition{State::active, Event::end, State::ended},
    Transition{State::active, Event::revoke, State::revoked},
    Transition{State::suspended, Event::resume, State::active},
    Transition{State::suspended, Event::end, State::ended},
    Transition{State::suspended, Event::revoke, State::revoked},
};

// Returns the state that follows, or nothing if the event is not allowed.
[[nodiscard]] constexpr std::optional<State> next(State from, Event event) noexcept {
    for (const auto& t : transitions)
        if (t.from == from && t.event == event) return t.to;
    return std::nullopt;
}

[[nodiscard]] constexpr bool is_terminal(State state) noexcept {
    for (const auto& t : transitions)
        if (t.from == state) return false;
    return true;
}

// The spelling in SQL (enum jit_access.state) and in the record.
[[nodiscard]] std::string_view to_string(State state) noexcept;
[[nodiscard]] std::optional<State> state_from(std::string_view text) noexcept;
[[nodiscard]] std::string_view to_string(Event event) noexcept;
// The kind of the control event on the record: "denied", "activated", ...
[[nodiscard]] std::string_view to_past(Event event) noexcept;

// Returns the state after a control event of this kind, including "requested"; nothing for kinds that change no state.
[[nodiscard]] std::optional<State> state_after(std::string_view past) noexcept;

// The spelling in SQL (enum jit_access.at_deadline).
[[nodiscard]] std::string_view to_string(AtDeadline action) noexcept;
[[nodiscard]] std::optional<AtDeadline> at_deadline_from(std::string_view text) noexcept;

static_assert(is_terminal(State::denied) && is_terminal(State::cancelled) && is_terminal(State::lapsed) &&
                  is_terminal(State::ended) && is_terminal(State::revoked),
              "a denied, cancelled, lapsed, ended or revoked request stays so");
static_assert(next(State::pending, Event::end) == std::nullopt, "a pending request has no deadline");

}  // namespace jit::core
