// Moves the journal and the control events into the table jit_access.record, exactly once: the rows, their sequence
// numbers and the position that was reached commit in one transaction.
//
// Only the worker writes. After the commit it calls journal::mark_read() with the position of the batch. If it is
// killed in between, the next batch begins at the position in the table, and nothing is written twice.
#pragma once

#include <functional>
#include <span>

#include "jit_access/pg/sql.hpp"
#include "jit_access/record/usage_tally.hpp"

namespace jit::ingest {

// Emits up to `max_records` journal records from a position on (nothing: the oldest that is kept) as rows of
// jit_access.journal(). A use and its outcome are one row if both are among them. Any process may call it: records that
// the worker releases during the call are left out. Throws journal_failed without a journal.
void read(std::optional<std::uint64_t> from, std::size_t max_records,
          const std::function<void(std::span<const pg::Value>)>& emit);

struct Batch {
    // The journal may be reused up to here once the transaction has committed. It is set even if the batch is empty,
    // because the worker may have been killed between the last commit and mark_read().
    std::uint64_t position = 0;
    bool more = false;                   // the journal holds records after the batch
    std::vector<std::string> notices;    // payloads for the channel jit_access, see notification.hpp
    std::vector<std::string> alerts;     // JSON lines for the server log
    std::optional<std::int64_t> oldest;  // when the first journal record of the batch was written
    UsageTally tally;                    // of the records that were written
};
// Writes one batch of control events and journal records to the record, in the current transaction of the worker.
[[nodiscard]] Batch take_over();

// Returns the number of bytes by which the position in the tables lies beyond the end that the journal had when the
// server started. If the number is above zero, the file is older than the tables, because of a power failure or a
// restored backup. Needs a transaction.
[[nodiscard]] std::uint64_t lost_bytes();

// Records the outcome "interrupted" for every use that has no outcome and was written before this start of the server
// (SharedState::journal_head_at_start) or by another node: for example the primary that this server has followed as a
// standby, or this server with a journal that has been moved away since. The worker calls it in a transaction, once
// after a start, when all those records have been taken over. If the outcome of such a use arrives later, it is
// recorded without a use.
void close_interrupted();

}  // namespace jit::ingest
