// The rules over the record: the worker looks at each row once, in the order of the record, and finds what is odd.
//
// A slice is read, judged and marked as read in one transaction, after it was committed: what a crash undoes is done
// again, nothing twice. The clock is the record's own. A rule that fails loses the slice, and the others go on; its
// fault is in jit_access.alert_rules, and once in the server log. What the rules keep is in docs/alerts.md.
#pragma once

#include <cstdint>
#include <optional>

#include "jit_access/oversight/detection_batch.hpp"

namespace jit::detection {

// In the caller's transaction, slice by slice; the last row that was read. Nothing: somebody else is at it.
std::optional<std::int64_t> read_up_to(std::optional<std::int64_t> row);

// What the worker has just written, and need not read again. Something else is read from the record.
void offer(UsageTally tally);

// The worker's: one slice in a transaction of its own, where there is something new. True: there is more.
[[nodiscard]] bool follow();

// Where the worker takes over what is older than the rule allows, that goes on the record: once, until it is young
// again. `oldest` is of what it has just taken over.
void look_at_lag(std::int64_t oldest);

}  // namespace jit::detection
