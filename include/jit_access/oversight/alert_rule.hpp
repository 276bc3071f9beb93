// The rules by which alerts are found: a table that administrators change, every change on the record.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

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
// One that is not in the table is as it was made: enabled, of high severity.
[[nodiscard]] Rule find(const std::string& name);

struct Change {
    std::optional<bool> enabled;
    std::optional<std::string> severity;
    std::optional<std::int32_t> threshold;
    std::optional<core::IntervalParts> within;
    std::optional<bool> suspends;
};
void set(const std::optional<std::string>& name, const Change& change, const principal::Origin& origin);

}  // namespace jit::alert_rule
