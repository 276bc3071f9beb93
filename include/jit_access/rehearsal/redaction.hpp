// Restricts the output of an executed dry run. The requester knows the statements and may see the names in the
// catalogs. Everything else may be data for which the requester has no privilege, even the name of an object that a
// statement has created.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jit_access/pg/impersonation.hpp"
#include "jit_access/rehearsal/dry_run.hpp"

namespace jit::redaction {

inline constexpr const char* not_shown = "(not shown: it may hold data)";

// Names shown only if they existed before the dry run, which can be checked only after the rollback.
struct Deferred {
    std::vector<std::string> names;  // in the message
    std::vector<std::uint32_t> sequences;
};

// Returns the message of an error as far as it may be shown; the names in it are added to `deferred`. `expected` is the
// message with which the analysis of the statement failed; it contains no data.
[[nodiscard]] std::string shown_message(const pg::Fault& fault, const std::string& statement,
                                        const std::string& expected, Deferred& deferred);

// Called after the rollback. Replaces messages and privileges that name unknown objects, and fills in the names of the
// sequences.
void redact_unknown_names(std::vector<dry_run::Outcome>& outcomes, const std::vector<Deferred>& deferred);

}  // namespace jit::redaction
