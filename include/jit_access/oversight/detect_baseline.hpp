// Evaluators that compare a request or a use with the person's history: hours, templates and networks.
//
// A baseline counts days, not events, so that a user cannot build one within an hour. A person with too little history
// triggers no rule: the rule's threshold is the number of days that the history must have.
#pragma once

#include "jit_access/oversight/detection_batch.hpp"

namespace jit::detection {

template <>
void evaluate<core::Evaluator::unusual_hours>(const alert_rule::Rule& rule, const Batch& batch, PersonCache& persons);

template <>
void evaluate<core::Evaluator::unusual_template>(const alert_rule::Rule& rule, const Batch& batch,
                                                 PersonCache& persons);

template <>
void evaluate<core::Evaluator::new_network>(const alert_rule::Rule& rule, const Batch& batch, PersonCache& persons);

}  // namespace jit::detection
