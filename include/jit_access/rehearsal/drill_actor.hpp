// Who plays a part in a drill (drill.hpp): a process that has logged in as one of the service identities. Their roles
// have the connection limit 0, which stops every client and no background process, so only such a process can be them.
//
// It asks and approves without a client that has sent a statement, against docs/adr/013: for the canary template alone.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace jit::drill {

enum class Part : std::uint32_t { requester, approver_1, approver_2 };
inline constexpr std::array logins{"jit_drill_requester", "jit_drill_approver_1", "jit_drill_approver_2"};

// What an actor is started for; travels as plain bytes.
struct Cue {
    std::int64_t drill = 0;
    std::int64_t request = 0;   // to be approved
    std::int64_t patience = 0;  // microseconds
    Part part = Part::requester;
};

inline constexpr std::int64_t grant_duration = 2'000'000;

// An actor's life; it connects, plays its part and returns.
void act();

}  // namespace jit::drill
