// The report page: an HTML page about a range of time, for auditors. Its contents are read from the tables in one
// transaction. The page shows how far the record has been verified. The same transaction writes an event about the
// report.
#pragma once

#include <optional>
#include <string>

#include "jit_access/pg/sql.hpp"

namespace jit::report {

// For auditors. A NULL time stands for the default: the last 90 days, until now. Throws core::Failure if the caller is
// not an auditor, and pg::ServerError if the framework or the range is invalid.
[[nodiscard]] std::string render_page(const std::optional<std::string>& framework,
                                      const std::optional<pg::Instant>& from, const std::optional<pg::Instant>& to);

}  // namespace jit::report
