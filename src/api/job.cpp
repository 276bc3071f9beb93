// Scheduled jobs: their schedule, and the functions of those that belong to no other file of this room.
#include "jit_access/api/support.hpp"

#include <array>

#include "jit_access/pg/table_result.hpp"
#include "jit_access/worker/cron.hpp"
#include "jit_access/worker/jobs.hpp"
#include "jit_access/worker/schedule.hpp"

namespace jit::api {

#pragma GCC visibility push(default)
extern "C" {

PG_FUNCTION_INFO_V1(jit_schedule);
Datum jit_schedule(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        pg::TableResult table(fcinfo);
        for (const auto& job : cron::create_jobs(args.text(0), args.text(1), origin_of(fcinfo))) {
            const std::array<pg::Value, 3> row{job.name, job.schedule, job.command};
            table.add_row(row);
        }
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_unschedule);
Datum jit_unschedule(PG_FUNCTION_ARGS) {
    return answer(fcinfo,
                  [&](const Args& args) { return Int32GetDatum(cron::remove_jobs(args.text(0), origin_of(fcinfo))); });
}

PG_FUNCTION_INFO_V1(jit_run_job);
Datum jit_run_job(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) { return pg::text_result(schedule::run_job(args.text(0))); });
}

PG_FUNCTION_INFO_V1(jit_cron_state);
Datum jit_cron_state(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        const auto job = Args(fcinfo).text(0);
        const auto state = job ? cron::job_state(*job) : std::nullopt;
        fcinfo->isnull = !state;
        return state ? pg::text_result(*state) : Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_job_retention);
Datum jit_job_retention(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return pg::text_result(jobs::run_retention()); });
}

PG_FUNCTION_INFO_V1(jit_job_drift);
Datum jit_job_drift(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return pg::text_result(jobs::run_drift()); });
}

PG_FUNCTION_INFO_V1(jit_job_verify);
Datum jit_job_verify(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return pg::text_result(jobs::run_verify()); });
}

PG_FUNCTION_INFO_V1(jit_job_review_reminders);
Datum jit_job_review_reminders(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return pg::text_result(jobs::run_review_reminders()); });
}

}  // extern "C"
#pragma GCC visibility pop

}  // namespace jit::api
