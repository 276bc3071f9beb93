// Scenarios: stored dry runs with their expected outcomes. Examples are a dry run of a migration, and a dry run of
// statements that a template must never allow. A job runs them again; users can also run them, for example when
// something has changed. The event `scenario failed` is written when a scenario fails, unless its previous run failed
// as well.
#pragma once

#include <string>
#include <vector>

#include "jit_access/rehearsal/dry_run.hpp"

namespace jit::scenario {

struct ScenarioArguments {
    std::optional<std::string> name;
    std::optional<std::string> description;
    std::optional<pg::TextArray> expected;  // one outcome for each statement; nothing: all are allowed
    dry_run::DryRunArguments dry_run;
};

// For administrators.
void set(const ScenarioArguments& arguments, const principal::Origin& origin);
void drop(const std::optional<std::string>& name, const principal::Origin& origin);

// The result of one statement of a scenario.
struct Result {
    std::string scenario;
    std::int32_t number = 0;
    std::string expected;
    bool ok = false;
    dry_run::Outcome outcome;
};

// Runs one scenario, or all that the calling user may run: auditors may run those in mode `check`, administrators all.
// The results are stored.
[[nodiscard]] std::vector<Result> run(const std::optional<std::string>& name, const principal::Origin& origin);
// Runs all scenarios for the job, or for an administrator. Returns a summary of one line.
std::string run_all(const principal::Origin& origin);
// The results as lines of TAP (Test Anything Protocol).
[[nodiscard]] std::vector<std::string> as_tap(const std::vector<Result>& results);

}  // namespace jit::scenario
