#include "jit_access/worker/schedule.hpp"

#include <map>

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/worker.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::schedule {

using core::Code;
using core::Failure;

namespace {

constexpr const char* job_main = "jit_job_main";
constexpr const char* already_running = "the job is already running";
constexpr const char* jobs_hint = "Look at jit_access.jobs.";

// A job whose function does not exist is treated as unknown. The installed extension may be older than the library and
// lack the function.
bool exists(const std::string& job) {
    return pg::query_row(R"sql(
               SELECT 1
               FROM jit_access.job
               WHERE name = $1
                 AND pg_catalog.to_regprocedure('jit_access.job_' || name || '()') IS NOT NULL)sql",
                         {job})
        .has_value();
}

struct Progress {
    std::int64_t runs = 0;
    bool running = false;
    std::optional<std::string> result;
    std::optional<std::string> error;
};

// Returns the progress as committed now, regardless of the snapshot of this transaction. pg_stat_activity has a
// snapshot of its own, which is cleared first.
Progress progress_of(const std::string& job) {
    pg::query("SELECT pg_catalog.pg_stat_clear_snapshot()");
    const auto row = pg::query_latest(R"sql(
        SELECT j.runs, s.running, j.result, j.error
        FROM jit_access.job j, jit_access.job_state(j.name) s
        WHERE j.name = $1)sql",
                                      {job});
    if (!row) throw unknown_job(job);
    return {row->get<std::int64_t>(0), row->get<bool>(1), row->maybe<std::string>(2), row->maybe<std::string>(3)};
}

}  // namespace

Failure unknown_job(const std::string& job) {
    return {Code::invalid_argument, "there is no job \"" + pg::excerpt(job) + "\"",
            "It is not in jit_access.job, or has no function.", jobs_hint};
}

// ---- started by the worker ------------------------------------------------------------------------------------------

namespace {

// Essential jobs whose last start is more than one interval ago, or two if pg_cron schedules them. A failed or
// interrupted job is retried after five minutes. A negative age means that the start was before the clock was set back.
constexpr const char* due_jobs = R"sql(
    SELECT j.name
    FROM jit_access.job j,
         jit_access.job_state(j.name) s,
         LATERAL (SELECT pg_catalog.clock_timestamp()
                         - coalesce(greatest(j.started_at, j.scheduled_at), j.due_from) AS age) a
    WHERE j.essential
      AND NOT s.running
      AND (j.scheduled_at IS NOT NULL OR NOT j.each_nap)
      AND pg_catalog.to_regprocedure('jit_access.job_' || j.name || '()') IS NOT NULL
      AND (a.age > j.every * CASE WHEN j.scheduled_at IS NULL THEN 1 ELSE 2 END
           OR a.age < '-5 minutes'
           OR (j.error IS NOT NULL OR s.interrupted) AND a.age > interval '5 minutes')
    ORDER BY a.age DESC)sql";

}  // namespace

void start_due_job() {
    constexpr std::int64_t retry_us = 60'000'000;
    // The last start of each job, by the boot clock. If a process dies at its start, the job remains due, and without
    // this the worker would start a process in each nap.
    static std::map<std::string, std::int64_t> last_starts;
    std::optional<std::string> due;
    const auto now = pg::boot_clock();
    task::run_or_log("look for jobs that are due", [&] {
        for (const auto& row : pg::query(due_jobs)) {
            const auto& job = row.get<std::string>(0);
            const auto last = last_starts.find(job);
            if (last != last_starts.end() && now - last->second < retry_us) continue;
            due = job;
            return;
        }
    });
    if (!due) return;
    last_starts[*due] = now;
    if (!pg::start_job(job_main, *due))
        pg::log_line("could not start job \"" + *due +
                     "\", will be retried: no background worker was free, see max_worker_processes");
}

// ---- started by a session -------------------------------------------------------------------------------------------

std::string run_job(const std::optional<std::string>& job) {
    // If pg_cron calls this, the session user is the login of pg_cron or the owner of its job. Administrators may
    // also call it.
    principal::require_admin(principal::session_person());
    if (!job || !exists(*job)) throw unknown_job(job.value_or("NULL"));
    const auto before = progress_of(*job);
    if (before.running) return already_running;
    if (!pg::run_job(job_main, *job))
        throw Failure(Code::wrong_state, "job \"" + *job + "\" could not be started", "No background worker was free.",
                      "See max_worker_processes.");
    const auto after = progress_of(*job);
    if (after.runs == before.runs) {
        // Either another process, started at the same time, is running the job, or the new process stopped before its
        // end.
        if (after.running) return already_running;
        throw Failure(Code::wrong_state, "job \"" + *job + "\" was stopped before its end", {},
                      "Look at the server log.");
    }
    if (after.error) throw Failure(Code::wrong_state, "job \"" + *job + "\" has failed", *after.error, jobs_hint);
    return after.result.value_or("");
}

// ---- the process of a job -------------------------------------------------------------------------------------------

namespace {

// Stores this process as the one that runs the job. Returns false if another process is running it. The row is locked
// before pg_stat_activity is read, so that of two processes the second sees the first.
bool claim(const std::string& job) {
    if (!pg::query_row("SELECT 1 FROM jit_access.job WHERE name = $1 FOR UPDATE", {job})) return false;
    return pg::execute(R"sql(
               UPDATE jit_access.job
               SET pid = a.pid,
                   process_start = a.backend_start,
                   started_at = pg_catalog.clock_timestamp()
               FROM pg_catalog.pg_stat_activity a
               WHERE name = $1
                 AND a.pid = pg_catalog.pg_backend_pid()
                 AND NOT (SELECT running FROM jit_access.job_state($1)))sql",
                       {job}) == 1;
}

void store_result(const std::string& job, const std::optional<std::string>& result,
                  const std::optional<std::string>& error) {
    pg::execute(R"sql(
        UPDATE jit_access.job
        SET pid = NULL,
            process_start = NULL,
            finished_at = pg_catalog.clock_timestamp(),
            runs = runs + 1,
            failures = CASE WHEN $3 IS NULL THEN 0 ELSE failures + 1 END,
            result = CASE WHEN $3 IS NULL THEN $2 ELSE result END,
            error = $3
        WHERE name = $1)sql",
                {job, pg::nullable(result), pg::nullable(error)});
}

}  // namespace

void execute_job(const std::string& job) {
    bool is_claimed = false;
    task::run_or_log("begin job \"" + job + "\"", [&] { is_claimed = exists(job) && claim(job); });
    if (!is_claimed) return;
    std::optional<std::string> result;
    // The name needs no quotes, because it is in jit_access.job, whose CHECK allows only letters and underscores.
    const std::string call = "SELECT jit_access.job_" + job + "()";
    const auto error =
        task::run_in_transaction([&] { result = pg::query_row(call.c_str()).value().maybe<std::string>(0); });
    if (error) pg::log_line("job \"" + job + "\" has failed: " + *error);
    task::run_or_log("store the result of job \"" + job + "\"", [&] { store_result(job, result, error); });
}

}  // namespace jit::schedule
