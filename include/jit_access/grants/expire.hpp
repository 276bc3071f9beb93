// Expiry: grants reach their deadline, requests lapse, scheduled grants start, and clean-up of ended grants is tried.
// The worker calls everything here. Each grant is handled in a transaction of its own, so that a failure delays no
// other grant.
#pragma once

#include <cstdint>
#include <optional>

#include "jit_access/pg/sql.hpp"

namespace jit::expire {

// Marks the slots whose deadline has passed and stops the sessions that use them. Needs no transaction and accesses no
// table, so it works even on a standby.
void stop_ended_grants() noexcept;

// Updates the tables and catalogs for every request or grant that is due to lapse, to start, to end or to be cleaned
// up. Called outside of a transaction; failures are logged. Returns the next due time, if it is known.
[[nodiscard]] std::optional<pg::Instant> process_due();

// Called after a failure to read or change the tables, outside of a transaction. Ends the sessions that keep the tables
// locked.
void end_sessions_that_lock_tables();

// Returns the next moment at which stop_ended_grants() has something to do, on the wall clock (microseconds since
// 2000-01-01); nothing if no grant is live.
[[nodiscard]] std::optional<std::int64_t> next_deadline() noexcept;

}  // namespace jit::expire
