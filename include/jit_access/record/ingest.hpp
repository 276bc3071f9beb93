// From the journal into the record, exactly once: rows, sequence numbers and the position reached commit together.
#pragma once

#include <functional>
#include <span>

#include "jit_access/pg/sql.hpp"
#include "jit_access/record/usage_tally.hpp"

namespace jit::ingest {

// Hands out up to `most` records from a position on, as rows of jit_access.journal(). A use whose outcome is among them
// comes as one row. Nothing = the oldest record kept.
void read(std::optional<std::uint64_t> from, std::size_t most,
          const std::function<void(std::span<const pg::Value>)>& put);

// In a transaction of the worker: takes over control events and what the journal holds now, at most one batch. Answers
// the position up to which the journal may be reused once the transaction has committed: also when there was nothing,
// since the worker may have been killed between the commit of the last batch and that.
struct Batch {
    std::uint64_t position = 0;
    bool more = false;
    std::vector<std::string> notices;    // to be sent, see notification.hpp
    std::vector<std::string> alerts;     // to be told in the server log, as JSON
    std::optional<std::int64_t> oldest;  // when what it holds of the journal was written
    UsageTally tally;                    // of the record that it has become
};
[[nodiscard]] Batch take_over();

// In a transaction: how much further the tables have read than the journal reached at the start.
[[nodiscard]] std::uint64_t lost_bytes();

// In a transaction of the worker, once after a start, when what was written before it
// (SharedState::journal_head_at_start) is taken over: statements that were running when the server went down, or that
// another one had: a primary that this standby has followed, a journal that was moved. Should one of these come back
// with an outcome, that stands by itself.
void close_interrupted();

}  // namespace jit::ingest
