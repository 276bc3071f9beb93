// Would these statements go through, under this template, for this person? DryRunArguments before the template exists,
// before the grant is asked for, before the migration runs (docs/adr/019-dry-runs.md).
//
// A dry run makes the roles that a grant would make, in a subtransaction that is always rolled back, and acts as them.
// `check` reads the statements and runs nothing; `execute` runs them, as far as a rollback takes everything back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jit_access/core/duration.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::dry_run {

// What jit_dry_run was given; nothing = not given.
struct DryRunArguments {
    std::optional<std::string> template_name;
    std::optional<pg::TextArray> statements;
    std::optional<std::string> mode;
    std::optional<std::string> person;
    std::optional<pg::TextArray> privileges;  // instead of the template's, or without one
    std::optional<std::string> search_path;
    std::optional<core::IntervalParts> timeout;  // of each statement
    std::optional<bool> allow_schema_change;     // of a template that is not there yet
    std::optional<bool> allow_code;
};

struct Outcome {
    std::string statement;
    std::string outcome;  // allowed, denied, failed, refused or unknown
    pg::TextArray missing{};
    std::optional<std::int64_t> rows{};  // that it has processed; nothing where it did not run
    pg::TextArray sequences{};           // that it has advanced, which stays
    std::optional<std::string> sqlstate{};
    std::optional<std::string> message{};
};

// For who asks. Throws when he may not, or when there can be no such grant.
[[nodiscard]] std::vector<Outcome> run(const DryRunArguments& asked, const principal::Origin& origin);
// For a scenario, about which somebody has decided before.
[[nodiscard]] std::vector<Outcome> repeat(const DryRunArguments& asked);
// Whether this could be run; throws invalid_argument.
void check(const DryRunArguments& asked);

}  // namespace jit::dry_run
