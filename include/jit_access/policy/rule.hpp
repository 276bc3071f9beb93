// Rules: requests that need no approval, and requests that are always denied, by person, template, duration, risk,
// network and window. core/policy applies a rule to a request.
//
// Both functions are called by an administrator from a statement of their own. They need a transaction and throw
// invalid_argument or not_permitted.
#pragma once

#include "jit_access/core/duration.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::rule {

struct RuleArguments {
    std::optional<std::string> name;
    std::optional<std::string> effect;  // allow or deny
    pg::TextArray templates;            // empty: every template, including those created later
    std::optional<std::string> role;    // absent: every person
    std::optional<core::IntervalParts> max_duration;
    std::optional<std::string> max_risk;
    pg::TextArray networks;  // empty: from anywhere
    pg::TextArray windows;   // empty: at any time
};

void create(const RuleArguments& arguments, const principal::Origin& origin);
void drop(const std::optional<std::string>& name, const principal::Origin& origin);

}  // namespace jit::rule
