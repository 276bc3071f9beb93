// Describes, in sentences for a report, how far the record is known to be sound. A report cannot verify the whole
// record. It describes the stored result of the last verification of the whole record, and verifies the newest records
// now. The sentences claim no more than was verified.
#pragma once

#include <string>

#include "jit_access/core/report_model.hpp"
#include "jit_access/pg/sql.hpp"

namespace jit::verification {

// Verifies at most 200,000 records, which takes seconds.
[[nodiscard]] core::Page::Verification describe();

// In UTC, to the minute.
[[nodiscard]] std::string format_time(const pg::Instant& at);

}  // namespace jit::verification
