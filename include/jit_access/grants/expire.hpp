// The ends: grants reach their deadline, requests lapse, scheduled grants start. Everything here runs in the worker,
// one transaction per grant, so that one failure delays no other.
#pragma once

#include <cstdint>
#include <optional>

#include "jit_access/pg/sql.hpp"

namespace jit::expire {

// Marks on the board what is past its deadline and stops the sessions that rely on it. Needs no transaction.
void stop_ended_grants() noexcept;

// Brings the tables after: lapses, starts, ends, cleans up. The earliest moment when there will be more to do comes
// back.
[[nodiscard]] std::optional<pg::Instant> process_due();

// The next deadline on the board, wall clock; nothing when no grant is live.
[[nodiscard]] std::optional<std::int64_t> next_deadline() noexcept;

}  // namespace jit::expire
