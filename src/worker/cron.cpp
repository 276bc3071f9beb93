#include "jit_access/worker/cron.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/worker/schedule.hpp"

namespace jit::cron {

using core::Code;
using core::Failure;

namespace {

// The quoted schema of pg_cron, found by the dependency of its table on the extension. A schema named "cron" proves
// nothing, because the owner of the database can create one, and its functions would run as the owner of this
// extension.
std::optional<std::string> cron_schema() {
    const auto row = pg::query_row(R"sql(
        SELECT n.nspname::text
        FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_depend d
          ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
         AND d.refobjid = e.oid
         AND d.deptype = 'e'
         AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
        JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relname = 'job' AND c.relkind = 'r'
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE e.extname = 'pg_cron')sql");
    if (!row) return std::nullopt;
    return pg::quote(row->get<std::string>(0));
}

std::string cron_name(const std::string& job) { return "jit_access: " + job; }
std::string cron_command(const std::string& job) { return "SELECT jit_access.run_job('" + job + "')"; }

std::string require_cron() {
    if (const auto schema = cron_schema()) return *schema;
    throw Failure(Code::wrong_state, "pg_cron is not in this database",
                  "Jobs are created in the database that has it, cron.database_name; without it the worker runs the "
                  "essential ones.",
                  std::string("Set cron.database_name to \"") + settings::database +
                      "\" and CREATE EXTENSION pg_cron, or have pg_cron of another database run jit_access.run_job() "
                      "by cron.schedule_in_database.");
}

void require_utc() {
    const auto zone = pg::query_row("SELECT coalesce(pg_catalog.current_setting('cron.timezone', true), 'GMT')");
    const auto& name = zone.value().get<std::string>(0);
    for (const std::string_view utc : {"GMT", "UTC", "Etc/UTC", "Etc/GMT", "UCT", "Universal", "Zulu"})
        if (name == utc) return;
    throw Failure(Code::wrong_state, "the jobs of pg_cron are not in UTC", "cron.timezone is \"" + name + "\".",
                  "Set cron.timezone to 'GMT' and restart the server, or leave the jobs to the worker.");
}

std::int32_t remove_job(const std::string& schema, const std::string& job) {
    const std::string sql = "SELECT " + schema + ".unschedule(jobid) FROM " + schema + ".job WHERE jobname = $1";
    return static_cast<std::int32_t>(pg::query(sql.c_str(), {cron_name(job)}).size());
}

// Removes the job first. Otherwise pg_cron would keep an inactive job, or create a second job if another user has one
// of the same name.
void create_job(const std::string& schema, const CronJob& job) {
    remove_job(schema, job.name);
    const std::string sql = "SELECT " + schema + ".schedule($1::text, $2::text, $3::text)";
    const auto error = pg::in_subtransaction([&] {
        pg::query(sql.c_str(), {cron_name(job.name), job.schedule, job.command});
    });
    if (error)
        throw Failure(Code::invalid_argument, "job \"" + job.name + "\" cannot be scheduled", *error,
                      "A schedule is minute, hour, day, month and day of the week, in the syntax of pg_cron, in UTC; "
                      "the job belongs to the owner of this extension, a superuser.");
}

std::vector<CronJob> jobs_to_create(const std::optional<std::string>& job, const std::optional<std::string>& schedule) {
    if (schedule && !job)
        throw Failure(Code::invalid_argument, "invalid schedule", "It is for one job, and none is named.",
                      "jit_schedule('verify', '20 2 * * *')");
    constexpr std::size_t max_bytes = 100;
    if (schedule)
        if (const auto fault = core::fault_in_text(*schedule, max_bytes))
            throw Failure(Code::invalid_argument, "invalid schedule", *fault, "Write one line of plain text.");
    std::vector<CronJob> jobs;
    for (const auto& row : pg::query(R"sql(
             SELECT name, schedule
             FROM jit_access.job
             WHERE ($1 IS NULL OR name = $1)
               AND pg_catalog.to_regprocedure('jit_access.job_' || name || '()') IS NOT NULL
             ORDER BY name)sql",
                                     {pg::nullable(job)})) {
        const auto& name = row.get<std::string>(0);
        jobs.push_back({name, schedule.value_or(row.get<std::string>(1)), cron_command(name)});
    }
    if (jobs.empty()) throw schedule::unknown_job(job.value_or("NULL"));
    return jobs;
}

}  // namespace

std::vector<CronJob> create_jobs(const std::optional<std::string>& job, const std::optional<std::string>& schedule,
                                 const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    auto jobs = jobs_to_create(job, schedule);
    const auto schema = require_cron();
    require_utc();
    principal::require_own_statement(me, origin, "jobs are scheduled");
    for (const auto& one : jobs) {
        create_job(schema, one);
        pg::execute(R"sql(
            UPDATE jit_access.job
            SET schedule = $2,
                scheduled_at = pg_catalog.clock_timestamp(),
                scheduled_by = $3
            WHERE name = $1)sql",
                    {one.name, one.schedule, me.name});
        control_event::write("job scheduled", std::nullopt, me.name, {{"job", one.name}, {"schedule", one.schedule}});
    }
    return jobs;
}

std::int32_t remove_jobs(const std::optional<std::string>& job, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto jobs = pg::query(R"sql(
        SELECT name, scheduled_at IS NOT NULL
        FROM jit_access.job
        WHERE $1 IS NULL OR name = $1
        ORDER BY name)sql",
                                {pg::nullable(job)});
    if (jobs.empty()) throw schedule::unknown_job(job.value_or("NULL"));
    principal::require_own_statement(me, origin, "jobs are taken from pg_cron");
    const auto schema = cron_schema();
    std::int32_t total = 0;
    for (const auto& row : jobs) {
        const auto& name = row.get<std::string>(0);
        const auto removed = schema ? remove_job(*schema, name) : 0;
        // If the job is missing in pg_cron, jit_access.job may still show it as scheduled.
        if (removed == 0 && !row.get<bool>(1)) continue;
        total += removed;
        pg::execute("UPDATE jit_access.job SET scheduled_at = NULL, scheduled_by = NULL WHERE name = $1", {name});
        control_event::write("job unscheduled", std::nullopt, me.name, {{"job", name}});
    }
    return total;
}

bool is_scheduled(const std::string& job) {
    return pg::query_row("SELECT 1 FROM jit_access.job WHERE name = $1 AND scheduled_at IS NOT NULL", {job})
        .has_value();
}

std::optional<std::string> job_state(const std::string& job) {
    const auto schema = cron_schema();
    if (!schema) return std::nullopt;
    const std::string sql = R"sql(
        SELECT count(*),
               coalesce(bool_and(c.active
                                 AND c.command = $2
                                 AND c.database = pg_catalog.current_database()
                                 AND c.schedule = j.schedule), false)
        FROM jit_access.job j
        JOIN )sql" + *schema +
                            R"sql(.job c ON c.jobname = $1
        WHERE j.name = $3)sql";
    const auto row = pg::query_row(sql.c_str(), {cron_name(job), cron_command(job), job}).value();
    const auto count = row.get<std::int64_t>(0);
    if (count == 0) return "missing";
    return count == 1 && row.get<bool>(1) ? "as scheduled" : "changed";
}

}  // namespace jit::cron
