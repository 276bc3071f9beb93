// What shared memory tells, for the views.
#pragma once

#include <array>
#include <cstdint>

#include "jit_access/pg/sql.hpp"

namespace jit::status {

// The columns of jit_access.status().
[[nodiscard]] std::array<pg::Value, 15> status();
[[nodiscard]] bool confirmed(std::int64_t id) noexcept;

}  // namespace jit::status
