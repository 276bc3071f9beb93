// The evaluator that compares the number of rows returned or changed under a grant with the numbers for other grants of
// its template.
//
// A grant's rows are summed while it lives (jit_access.grant_volume). The totals of the template's last grants
// (jit_access.template_volume) show how many rows are usual.
#pragma once

#include "jit_access/oversight/detection_batch.hpp"

namespace jit::detection {

template <>
void evaluate<core::Evaluator::unusual_rows>(const alert_rule::Rule& rule, const Batch& batch, PersonCache& persons);

}  // namespace jit::detection
