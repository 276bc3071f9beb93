// The evaluator of all rules that count records: an alert is raised when the number of such records of one person
// reaches the rule's threshold within the rule's time. core::alert_rules defines the records that a rule counts and the
// subject of its alerts.
#pragma once

#include "jit_access/oversight/detection_batch.hpp"

namespace jit::detection {

template <>
void evaluate<core::Evaluator::occurrences>(const alert_rule::Rule& rule, const Batch& batch, PersonCache& persons);

}  // namespace jit::detection
