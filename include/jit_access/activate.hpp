// Activation by the holder: what was approved under a template that demands a second factor for it waits until he says
// so, for the template's time_to_decide, from the approval or the start that was asked for.
#pragma once

#include "jit_access/request.hpp"

namespace jit::activate {

// The quorum is reached: scheduled, until the holder activates it or it lapses.
core::State leave_to_holder(request::Request& request, const templates::Template& of, const std::string& by);

core::State by_holder(std::int64_t id, const people::Origin& origin);

}  // namespace jit::activate
