// Dry runs show whether statements would be allowed under a template, for a person. A dry run can be made before the
// template exists, before the grant is requested, or before a migration runs (docs/adr/019-dry-runs.md).
//
// A dry run creates the roles that a grant would create, in a subtransaction that is always rolled back, and acts as
// them. Mode `check` analyses the statements and runs nothing. Mode `execute` runs those whose effects a rollback
// undoes completely.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jit_access/core/duration.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::dry_run {

// The arguments of jit_dry_run. An argument without a value was not given.
struct DryRunArguments {
    std::optional<std::string> template_name;
    std::optional<pg::TextArray> statements;
    std::optional<std::string> mode;
    std::optional<std::string> person;
    std::optional<pg::TextArray> privileges;  // instead of those of the template, or without a template
    std::optional<std::string> search_path;
    std::optional<core::IntervalParts> timeout;  // of each statement
    std::optional<bool> allow_schema_change;     // of a template that does not exist yet
    std::optional<bool> allow_code;
};

struct Outcome {
    std::string statement;
    std::string outcome;  // allowed, denied, failed, refused or unknown
    pg::TextArray missing{};
    std::optional<std::int64_t> rows{};  // processed rows; nothing if the statement did not run
    pg::TextArray sequences{};           // advanced sequences, which a rollback does not set back
    std::optional<std::string> sqlstate{};
    std::optional<std::string> message{};
};

// For the calling user. Throws core::Failure if the user may not make this dry run, or if no such grant is possible.
[[nodiscard]] std::vector<Outcome> run(const DryRunArguments& arguments, const principal::Origin& origin);
// For a scenario. Does not check whether the user may make this dry run; the caller has checked that the user may run
// the scenario.
[[nodiscard]] std::vector<Outcome> run_authorised(const DryRunArguments& arguments);
// Throws core::Failure (invalid_argument) if these arguments can never be run.
void validate(const DryRunArguments& arguments);

}  // namespace jit::dry_run
