// What the scheduled jobs do that belong to no stage of their own. Each answers a line about it, in the transaction of
// the process that schedule.hpp gives it.
#pragma once

#include <string>

namespace jit::jobs {

[[nodiscard]] std::string retention();
[[nodiscard]] std::string drift();
// From the last row that was found sound on; once a week from the first.
[[nodiscard]] std::string verify();
[[nodiscard]] std::string review_reminders();

}  // namespace jit::jobs
