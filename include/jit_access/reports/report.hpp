// The report as a page: what the tables say for a range of time, gathered once, and how far the record is known to be
// whole. Only for auditors; that it was made is on the record, in the transaction that made it.
#pragma once

#include <optional>
#include <string>

#include "jit_access/pg/sql.hpp"

namespace jit::report {

// NULL: the last 90 days, until now.
[[nodiscard]] std::string make(const std::optional<std::string>& framework, const std::optional<pg::Instant>& from,
                               const std::optional<pg::Instant>& to);

}  // namespace jit::report
