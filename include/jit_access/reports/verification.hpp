// How far the record is known to be whole, in sentences for a report that cannot verify all of it: what the
// verification that was kept last stands for, and what is verified now. They claim no more than was done.
#pragma once

#include <string>

#include "jit_access/core/report_model.hpp"
#include "jit_access/pg/sql.hpp"

namespace jit::verification {

[[nodiscard]] core::Page::Verification read();

[[nodiscard]] std::string when(const pg::Instant& at);  // in UTC, to the minute

}  // namespace jit::verification
