#include "jit_access/worker/schedule.hpp"

#include <map>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/worker.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::schedule {

using core::Code;
using core::Failure;

namespace {

constexpr const char* main_of_job = "jit_job_main";
constexpr const char* look_at_jobs = "Look at jit_access.jobs.";

Failure no_such_job(const std::string& job) {
    return {Code::invalid_argument, "there is no job \"" + pg::excerpt(job) + "\"",
            "Neither this name nor a function for it is there.", look_at_jobs};
}

// Jobs may belong to a part of the extension that is not there.
bool exists(const std::string& job) {
    return pg::query_row(
               "SELECT 1 FROM jit_access.job WHERE name = $1 AND pg_catalog.to_regprocedure('jit_access.job_' || name "
               "|| '()') IS NOT NULL",
               {job})
        .has_value();
}

struct Progress {
    std::int64_t runs = 0;
    bool running = false;
    std::optional<std::string> result;
    std::optional<std::string> error;
};

// As it is committed, whatever this transaction looks through.
Progress progress_of(const std::string& job) {
    pg::query("SELECT pg_catalog.pg_stat_clear_snapshot()");
    const auto row = pg::query_latest(
        "SELECT j.runs, s.running, j.result, j.error FROM jit_access.job j, jit_access.job_state(j.name) s WHERE "
        "j.name = $1",
        {job});
    if (!row) throw no_such_job(job);
    return {row->get<std::int64_t>(0), row->get<bool>(1), row->maybe<std::string>(2), row->maybe<std::string>(3)};
}

}  // namespace

// ---- when -----------------------------------------------------------------------------------------------------------

bool is_left_to_cron(const std::string& job) {
    return pg::query_row("SELECT 1 FROM jit_access.job WHERE name = $1 AND scheduled_at IS NOT NULL", {job})
        .has_value();
}

namespace {

// What failed or was stopped is tried again soon. A moment that lies ahead is from before the clock was set back.
constexpr const char* due_jobs =
    "SELECT j.name FROM jit_access.job j, jit_access.job_state(j.name) s, LATERAL (SELECT "
    "pg_catalog.clock_timestamp() - coalesce(greatest(j.started_at, j.scheduled_at), j.due_from) AS age) a WHERE "
    "j.essential AND NOT s.running AND (j.scheduled_at IS NOT NULL OR NOT j.each_nap) AND "
    "pg_catalog.to_regprocedure('jit_access.job_' || j.name || '()') IS NOT NULL AND (a.age > j.every * CASE WHEN "
    "j.scheduled_at IS NULL THEN 1 ELSE 2 END OR a.age < '-5 minutes' OR (j.error IS NOT NULL OR s.interrupted) AND "
    "a.age > interval '5 minutes') ORDER BY a.age DESC";

}  // namespace

void start_due() {
    constexpr std::int64_t a_minute = 60'000'000;
    static std::map<std::string, std::int64_t> tried;  // boot clock: one that dies at its start is not started at once
    std::optional<std::string> due;
    const auto now = pg::boot_clock();
    task::run_or_log("look for jobs that are due", [&] {
        for (const auto& row : pg::query(due_jobs)) {
            const auto& job = row.get<std::string>(0);
            const auto last = tried.find(job);
            if (last != tried.end() && now - last->second < a_minute) continue;
            due = job;
            return;
        }
    });
    if (!due) return;
    tried[*due] = now;
    if (!pg::start_job(main_of_job, *due))
        pg::log_line("could not start job \"" + *due +
                     "\", will be retried: no background worker was free, see max_worker_processes");
}

std::string run(const std::optional<std::string>& job) {
    principal::require_admin(principal::of_session());  // whoever pg_cron has logged in as, or works for
    if (!job || !exists(*job)) throw no_such_job(job.value_or("NULL"));
    const auto before = progress_of(*job);
    if (before.running) return "it is running";
    if (!pg::run_job(main_of_job, *job))
        throw Failure(Code::wrong_state, "job \"" + *job + "\" could not be started", "No background worker was free.",
                      "See max_worker_processes.");
    const auto after = progress_of(*job);
    if (after.runs == before.runs) {
        if (after.running) return "it is running";
        throw Failure(Code::wrong_state, "job \"" + *job + "\" was stopped before its end", {},
                      "Look at the server log.");
    }
    if (after.error) throw Failure(Code::wrong_state, "job \"" + *job + "\" has failed", *after.error, look_at_jobs);
    return after.result.value_or("");
}

// ---- the process ----------------------------------------------------------------------------------------------------

namespace {

// False: another process is at it. The row comes first: what the server says of processes is then from after that.
bool claim(const std::string& job) {
    if (!pg::query_row("SELECT 1 FROM jit_access.job WHERE name = $1 FOR UPDATE", {job})) return false;
    return pg::execute(
               "UPDATE jit_access.job SET pid = a.pid, process_start = a.backend_start, started_at = "
               "pg_catalog.clock_timestamp() FROM pg_catalog.pg_stat_activity a WHERE name = $1 AND a.pid = "
               "pg_catalog.pg_backend_pid() AND NOT (SELECT running FROM jit_access.job_state($1))",
               {job}) == 1;
}

void note_end(const std::string& job, const std::optional<std::string>& result,
              const std::optional<std::string>& fault) {
    pg::execute(
        "UPDATE jit_access.job SET pid = NULL, process_start = NULL, finished_at = pg_catalog.clock_timestamp(), runs "
        "= runs + 1, failures = CASE WHEN $3 IS NULL THEN 0 ELSE failures + 1 END, result = CASE WHEN $3 IS NULL THEN "
        "$2 ELSE result END, error = $3 WHERE name = $1",
        {job, pg::nullable(result), pg::nullable(fault)});
}

}  // namespace

void work(const std::string& job) {
    bool mine = false;
    task::run_or_log("begin job \"" + job + "\"", [&] { mine = exists(job) && claim(job); });
    if (!mine) return;
    std::optional<std::string> result;
    // The name has been found in the table, which takes small letters and underscores alone.
    const std::string call = "SELECT jit_access.job_" + job + "()";
    const auto fault =
        task::run_in_transaction([&] { result = pg::query_row(call.c_str()).value().maybe<std::string>(0); });
    if (fault) pg::log_line("job \"" + job + "\" has failed: " + *fault);
    task::run_or_log("note the end of job \"" + job + "\"", [&] { note_end(job, result, fault); });
}

// ---- pg_cron --------------------------------------------------------------------------------------------------------

namespace {

// The schema of pg_cron in this database. It is asked of the extension: anybody who owns the database can make a schema
// of this name, and what is in it would run as the owner of this extension.
std::optional<std::string> cron_schema() {
    const auto row = pg::query_row(
        "SELECT n.nspname::text FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_depend d ON d.refclassid = "
        "'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = "
        "'pg_catalog.pg_class'::pg_catalog.regclass JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relname = "
        "'job' AND c.relkind = 'r' JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE e.extname = "
        "'pg_cron'");
    if (!row) return std::nullopt;
    return pg::quote(row->get<std::string>(0));
}

std::string name_in_cron(const std::string& job) { return "jit_access: " + job; }
std::string command_of(const std::string& job) { return "SELECT jit_access.run_job('" + job + "')"; }

std::string require_cron() {
    if (const auto schema = cron_schema()) return *schema;
    throw Failure(Code::wrong_state, "pg_cron is not in this database",
                  "Its jobs are made where it is, cron.database_name; without it the worker does what is essential.",
                  std::string("Set cron.database_name to \"") + settings::database +
                      "\" and CREATE EXTENSION pg_cron, or have pg_cron of another database run jit_access.run_job() "
                      "by cron.schedule_in_database.");
}

void require_utc() {
    const auto zone = pg::query_row("SELECT coalesce(pg_catalog.current_setting('cron.timezone', true), 'GMT')");
    const auto& name = zone.value().get<std::string>(0);
    for (const std::string_view same : {"GMT", "UTC", "Etc/UTC", "Etc/GMT", "UCT", "Universal", "Zulu"})
        if (name == same) return;
    throw Failure(Code::wrong_state, "the jobs of pg_cron are not in UTC", "cron.timezone is \"" + name + "\".",
                  "Set cron.timezone to 'GMT' and restart the server, or leave the jobs to the worker.");
}

std::int32_t take_from_cron(const std::string& schema, const std::string& job) {
    const std::string sql = "SELECT " + schema + ".unschedule(jobid) FROM " + schema + ".job WHERE jobname = $1";
    return static_cast<std::int32_t>(pg::query(sql.c_str(), {name_in_cron(job)}).size());
}

// Made anew, so that one that was made inactive, or belongs to somebody else, is not left.
void put_into_cron(const std::string& schema, const CronJob& entry) {
    take_from_cron(schema, entry.name);
    const std::string sql = "SELECT " + schema + ".schedule($1::text, $2::text, $3::text)";
    const auto fault = pg::in_subtransaction([&] {
        pg::query(sql.c_str(), {name_in_cron(entry.name), entry.schedule, entry.command});
    });
    if (fault)
        throw Failure(
            Code::invalid_argument, "job \"" + entry.name + "\" cannot be scheduled", *fault,
            "A schedule is minute, hour, day, month and day of the week, as pg_cron has them, in UTC; the job "
            "belongs to the owner of this extension, a superuser.");
}

std::vector<CronJob> jobs_to_schedule(const std::optional<std::string>& job,
                                      const std::optional<std::string>& schedule) {
    if (schedule && !job)
        throw Failure(Code::invalid_argument, "invalid schedule", "It is for one job, and none is named.",
                      "jit_schedule('verify', '20 2 * * *')");
    constexpr std::size_t longest = 100;
    if (schedule)
        if (const auto fault = core::fault_in_text(*schedule, longest))
            throw Failure(Code::invalid_argument, "invalid schedule", *fault, "Write one line of plain text.");
    std::vector<CronJob> entries;
    for (const auto& row :
         pg::query("SELECT name, schedule FROM jit_access.job WHERE ($1 IS NULL OR name = $1) AND "
                   "pg_catalog.to_regprocedure('jit_access.job_' || name || '()') IS NOT NULL ORDER BY name",
                   {pg::nullable(job)})) {
        const auto& name = row.get<std::string>(0);
        entries.push_back({name, schedule.value_or(row.get<std::string>(1)), command_of(name)});
    }
    if (entries.empty()) throw no_such_job(job.value_or("NULL"));
    return entries;
}

}  // namespace

std::vector<CronJob> make(const std::optional<std::string>& job, const std::optional<std::string>& schedule,
                          const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    auto entries = jobs_to_schedule(job, schedule);
    const auto cron = require_cron();
    require_utc();
    principal::require_own_statement(me, origin, "jobs are scheduled");
    for (const auto& entry : entries) {
        put_into_cron(cron, entry);
        pg::execute(
            "UPDATE jit_access.job SET schedule = $2, scheduled_at = pg_catalog.clock_timestamp(), scheduled_by = $3 "
            "WHERE name = $1",
            {entry.name, entry.schedule, me.name});
        control_event::write("job scheduled", std::nullopt, me.name,
                             {{"job", entry.name}, {"schedule", entry.schedule}});
    }
    return entries;
}

std::int32_t remove(const std::optional<std::string>& job, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto jobs = pg::query(
        "SELECT name, scheduled_at IS NOT NULL FROM jit_access.job WHERE $1 IS NULL OR name = "
        "$1 ORDER BY name",
        {pg::nullable(job)});
    if (jobs.empty()) throw no_such_job(job.value_or("NULL"));
    principal::require_own_statement(me, origin, "jobs are taken from pg_cron");
    const auto cron = cron_schema();
    std::int32_t removed = 0;
    for (const auto& row : jobs) {
        const auto& name = row.get<std::string>(0);
        const auto found = cron ? take_from_cron(*cron, name) : 0;
        if (found == 0 && !row.get<bool>(1)) continue;
        removed += found;
        pg::execute("UPDATE jit_access.job SET scheduled_at = NULL, scheduled_by = NULL WHERE name = $1", {name});
        control_event::write("job unscheduled", std::nullopt, me.name, {{"job", name}});
    }
    return removed;
}

std::optional<std::string> state_in_cron(const std::string& job) {
    const auto cron = cron_schema();
    if (!cron) return std::nullopt;
    const std::string sql =
        "SELECT count(*), coalesce(bool_and(c.active AND c.command = $2 AND c.database = pg_catalog.current_database() "
        "AND c.schedule = j.schedule), false) FROM jit_access.job j JOIN " +
        *cron + ".job c ON c.jobname = $1 WHERE j.name = $3";
    const auto row = pg::query_row(sql.c_str(), {name_in_cron(job), command_of(job), job}).value();
    const auto count = row.get<std::int64_t>(0);
    if (count == 0) return "missing";
    return count == 1 && row.get<bool>(1) ? "as scheduled" : "changed";
}

}  // namespace jit::schedule
