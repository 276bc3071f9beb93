// Scheduled jobs that belong to no other room. Each runs in the process and transaction of its job (schedule.hpp), and
// returns the line that becomes jit_access.job.result. It throws if the run fails.
#pragma once

#include <string>

namespace jit::jobs {

// Drops the oldest partition of the record if it is due. Throws if a reader holds a lock on it, or if its last hash
// does not match its checkpoint.
[[nodiscard]] std::string run_retention();
// Has the worker check every role and membership for drift, and waits for it.
[[nodiscard]] std::string run_drift();
// Verifies the rows of the record after the last one found sound, or the whole record if it was last verified as a
// whole seven days ago or earlier. A finding does not make the job fail; it is the result of the job, and is also
// written as an event and to the server log.
[[nodiscard]] std::string run_verify();
// Writes the event "review overdue" for each overdue review for which none was written within the last day.
[[nodiscard]] std::string run_review_reminders();

}  // namespace jit::jobs
