// How far the record is known to be whole, in sentences for a report that cannot verify all of it: what the
// verification that was kept last stands for, and what is verified now. They claim no more than was done.
#pragma once

#include <string>

#include "jit_access/core/page.hpp"
#include "jit_access/pg/sql.hpp"

namespace jit::report_proof {

[[nodiscard]] core::Page::Verification look();

[[nodiscard]] std::string when(const pg::Instant& at);  // in UTC, to the minute

}  // namespace jit::report_proof
