// Rules for speed: what needs no approval, and what is never allowed, by person, template, duration, risk and network.
// What follows from them says core/policy.
#pragma once

#include "jit_access/core/duration.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::rule {

struct RuleArguments {
    std::optional<std::string> name;
    std::optional<std::string> effect;  // allow or deny
    pg::TextArray templates;            // none: every template, those made later too
    std::optional<std::string> role;    // nothing: everybody
    std::optional<core::IntervalParts> max_duration;
    std::optional<std::string> max_risk;
    pg::TextArray networks;  // none: from anywhere
    pg::TextArray windows;   // none: at any time
};

void create(const RuleArguments& draft, const principal::Origin& origin);
void drop(const std::optional<std::string>& name, const principal::Origin& origin);

}  // namespace jit::rule
