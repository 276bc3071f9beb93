// The settings of the alert rules: jit_access.alert_rule, which administrators change with jit_set_alert_rule. Every
// change is on the record. core/detection.hpp defines the conditions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "jit_access/core/duration.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::alert_rule {

struct Rule {
    std::string name;
    std::string severity = "high";
    std::optional<std::int32_t> threshold;
    std::int64_t within = 0;  // microseconds; 0: the rule has none
    bool enabled = true;
    bool suspends = false;
};

using Rules = std::map<std::string, Rule, std::less<>>;
[[nodiscard]] Rules all();
// If the row is missing, the rule counts as enabled with severity high, so that no alert is lost.
[[nodiscard]] Rule find(std::string_view name);

// A setting without a value stays as it is.
struct Change {
    std::optional<bool> enabled;
    std::optional<std::string> severity;
    std::optional<std::int32_t> threshold;
    std::optional<core::IntervalParts> within;
    std::optional<bool> suspends;
};

// For administrators. Throws core::Failure if the rule does not exist, a value is invalid, or nothing changes.
void set(const std::optional<std::string>& name, const Change& change, const principal::Origin& origin);

}  // namespace jit::alert_rule
