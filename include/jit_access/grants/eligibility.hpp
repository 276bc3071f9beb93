// Eligibility explains the policy to a person: the templates that the person may request, the approvals that a request
// needs, the possible approvers, and the objections.
#pragma once

#include <array>
#include <vector>

#include "jit_access/core/duration.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::eligibility {

// The columns of jit_eligibility().
using Row = std::array<pg::Value, 7>;

// Explains one template, or all that the person may request. Without a duration, the default of each template is
// assumed. Needs a transaction; throws unknown_template or invalid_argument.
[[nodiscard]] std::vector<Row> explain(const principal::Person& person, const std::optional<std::string>& template_name,
                                       const std::optional<core::IntervalParts>& duration);

}  // namespace jit::eligibility
