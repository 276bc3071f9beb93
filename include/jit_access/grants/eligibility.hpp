// What somebody may ask for, what it needs, who can approve it, and why not: the policy, explained to whom it concerns.
#pragma once

#include <array>
#include <vector>

#include "jit_access/core/duration.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::eligibility {

// The columns of jit_eligibility().
using Row = std::array<pg::Value, 7>;

// One template, or all that he may ask for.
[[nodiscard]] std::vector<Row> explain(const principal::Person& who, const std::optional<std::string>& template_name,
                                  const std::optional<core::IntervalParts>& duration);

}  // namespace jit::eligibility
