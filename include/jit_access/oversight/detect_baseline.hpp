// Rules that compare with a person's history: unusual hours, templates and networks.
// A baseline counts days, so that nobody builds one within an hour. People with too little history trigger no rule.
//
// Each evaluator keeps what it needs of the batch in its own tables and raises alerts for what it finds, if its rule is
// enabled.
#pragma once

#include "jit_access/oversight/detection_batch.hpp"

namespace jit::detection {

void unusual_hours(const alert_rule::Rule& rule, const Slice& slice, People& people);
void unusual_template(const alert_rule::Rule& rule, const Slice& slice, People& people);
void new_network(const alert_rule::Rule& rule, const Slice& slice, People& people);

}  // namespace jit::detection
