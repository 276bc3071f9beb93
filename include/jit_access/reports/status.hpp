// The contents of shared memory for the views jit_access.health and jit_access.active_grants. Read without a lock, so
// the values may be from different moments.
#pragma once

#include <array>
#include <cstdint>

#include "jit_access/pg/sql.hpp"

namespace jit::status {

// The columns of the SQL function jit_access.status(), in order.
[[nodiscard]] std::array<pg::Value, 15> status();
// Returns true if the grant has a live slot, that is, its statements are allowed on this server.
[[nodiscard]] bool is_confirmed(std::int64_t id) noexcept;

}  // namespace jit::status
