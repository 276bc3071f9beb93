// Rules for speed: what needs no approval, and what is never allowed, by person, template, duration, risk and network.
// What follows from them says core/policy.
#pragma once

#include "jit_access/core/duration.hpp"
#include "jit_access/people.hpp"

namespace jit::rules {

struct Draft {
    std::optional<std::string> name;
    std::optional<std::string> effect;  // allow or deny
    pg::TextArray templates;            // none: every template, those made later too
    std::optional<std::string> role;    // nothing: everybody
    std::optional<core::IntervalParts> max_duration;
    std::optional<std::string> max_risk;
    pg::TextArray networks;  // none: from anywhere
    pg::TextArray windows;   // none: at any time
};

void create(const Draft& draft, const people::Origin& origin);
void drop(const std::optional<std::string>& name, const people::Origin& origin);

}  // namespace jit::rules
