// Rules that count: so many of one kind within a time.
//
// Each evaluator keeps what it needs of the batch in its own tables and raises alerts for what it finds, if its rule is
// enabled.
#pragma once

#include "jit_access/oversight/detection_batch.hpp"

namespace jit::detection {

void count(const alert_rule::Rule& rule, const Slice& slice, People& people);

}  // namespace jit::detection
