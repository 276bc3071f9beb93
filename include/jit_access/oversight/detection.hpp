// Evaluates the alert rules over the record, after the ingest. The worker evaluates every committed record once, in
// order.
//
// One transaction, which starts after the records were committed, reads and evaluates a batch and moves
// jit_access.detection_position. After a crash the batch is therefore evaluated again as a whole, and no record counts
// twice. Times are those of the record, so a batch that is evaluated late raises the same alerts.
//
// Each rule runs in a subtransaction. If a rule fails, it misses the batch, and the other rules continue. The error is
// shown in jit_access.alert_rules and logged once. docs/alerts.md describes the rules and their data.
#pragma once

#include <cstdint>
#include <optional>

#include "jit_access/oversight/detection_batch.hpp"

namespace jit::detection {

// Evaluates the records up to `seq` (nothing: all) in the caller's transaction. Returns the last evaluated record, or
// nothing if another process has locked the position.
std::optional<std::int64_t> evaluate_up_to(std::optional<std::int64_t> seq);

// For the worker: hands over the tally of the records it has just committed, which then need not be read again. A tally
// that does not begin at jit_access.detection_position is ignored, and its records are read from the table.
void provide_tally(UsageTally tally);

// For the worker: evaluates the next batch in a transaction of its own, if there are new records. Returns true if there
// are more. After a failure the next batch starts a second later at the earliest.
[[nodiscard]] bool evaluate_next_batch();

// For the worker: writes the event `record lagged` when the lag has reached the threshold of rule record_lag, and again
// only after the lag has fallen below five seconds. `oldest` is the time of the oldest record just ingested.
void report_lag(std::int64_t oldest);

}  // namespace jit::detection
