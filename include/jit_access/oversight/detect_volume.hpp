// The rule that compares the rows moved under a grant with other grants of its template.
// Each grant is added up while it lives. The totals of the last grants of the template say how much is much.
//
// Each evaluator keeps what it needs of the batch in its own tables and raises alerts for what it finds, if its rule is
// enabled.
#pragma once

#include "jit_access/oversight/detection_batch.hpp"

namespace jit::detection {

void unusual_rows(const alert_rule::Rule& rule, const Slice& slice, People& people);

}  // namespace jit::detection
