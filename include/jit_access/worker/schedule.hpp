// Scheduled jobs. Job x is the SQL function jit_access.job_x() without arguments, which returns a line about its
// result; the table jit_access.job has its schedule and the result of the last run.
//
// Each run is a process of its own in the control database, with the settings of the worker, regardless of whether
// pg_cron, an administrator or the worker started it. At most one process runs a job at a time.
#pragma once

#include <optional>
#include <string>

#include "jit_access/core/failure.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::schedule {

// For the worker, once per nap: starts the essential job that is most overdue, if any, and does not wait for it. Errors
// are logged.
void start_due_job();

// For a session: runs a job in a new process and waits for it. Returns the job's result, or that it is already running.
// Throws invalid_argument for an unknown job; wrong_state with the job's error, or if no process can be started;
// not_permitted unless the session user is an administrator.
[[nodiscard]] std::string run_job(const std::optional<std::string>& job);

// The body of the process that runs the job. Errors are logged and stored in jit_access.job.
void execute_job(const std::string& job);

// The error for the name of a job that does not exist.
[[nodiscard]] core::Failure unknown_job(const std::string& job);

}  // namespace jit::schedule
