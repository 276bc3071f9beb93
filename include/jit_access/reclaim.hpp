// Cleaning up after a grant: memberships, what was made under it, the temporary role. Access is refused already; this
// may fail and is retried for ever, with its state in jit_access.active_grants.
#pragma once

#include <cstdint>

namespace jit::reclaim {

// One attempt, in a transaction of the worker. "Already gone" is success. Throws what went wrong.
void clean_up(std::int64_t id);

}  // namespace jit::reclaim
