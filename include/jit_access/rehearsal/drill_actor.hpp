// An actor of a drill (drill.hpp): a background process that is logged in as one of the service identities, and
// requests, approves or uses the grant. The service identities have CONNECTION LIMIT 0, which keeps out clients but not
// background processes, so only a background process can act as them.
//
// An actor gives access without a statement sent by a client, although docs/adr/013 otherwise demands one. This is
// permitted for the canary template only.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace jit::drill {

enum class Actor : std::uint32_t { requester, approver_1, approver_2 };
// By Actor.
inline constexpr std::array actor_logins{"jit_drill_requester", "jit_drill_approver_1", "jit_drill_approver_2"};

// The arguments of an actor process, copied as plain bytes.
struct ActorOrder {
    std::int64_t drill = 0;
    std::int64_t request = 0;       // to approve
    std::int64_t step_timeout = 0;  // microseconds
    Actor actor = Actor::requester;
};

inline constexpr std::int64_t grant_duration = 2'000'000;

// The main function of an actor process.
void act();

}  // namespace jit::drill
