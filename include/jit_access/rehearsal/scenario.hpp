// Dry runs that are kept, with what should come of them: a migration, a drill, what a template must never give. Run
// again whenever something may have changed, and by the clock; what was green and is red is an event.
#pragma once

#include <string>
#include <vector>

#include "jit_access/rehearsal/dry_run.hpp"

namespace jit::scenario {

struct ScenarioArguments {
    std::optional<std::string> name;
    std::optional<std::string> description;
    std::optional<pg::TextArray> expected;  // an outcome for each statement; nothing: all are allowed
    dry_run::DryRunArguments asked;
};

void set(const ScenarioArguments& draft, const principal::Origin& origin);
void drop(const std::optional<std::string>& name, const principal::Origin& origin);

// What came of one statement of a scenario.
struct Result {
    std::string scenario;
    std::int32_t number = 0;
    std::string expected;
    bool ok = false;
    dry_run::Outcome got;
};

// All of them, or one, by who asks: auditors those that only check, administrators all. The results are kept.
[[nodiscard]] std::vector<Result> run(const std::optional<std::string>& name, const principal::Origin& origin);
// All of them by the clock, or by an administrator; one line about it.
std::string run_by_clock(const principal::Origin& origin);
// As lines of TAP.
[[nodiscard]] std::vector<std::string> as_tap(const std::vector<Result>& results);

}  // namespace jit::scenario
