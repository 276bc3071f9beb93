// The main functions of the background processes, under the names by which the server starts them (pg/worker.hpp).
#include "jit_access/api/support.hpp"
#include "jit_access/rehearsal/drill_conductor.hpp"

#include "jit_access/grants/cleanup.hpp"
#include "jit_access/pg/role.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/worker.hpp"
#include "jit_access/rehearsal/drill.hpp"
#include "jit_access/rehearsal/drill_actor.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"
#include "jit_access/worker/schedule.hpp"
#include "jit_access/worker/worker.hpp"

namespace jit::api {

#pragma GCC visibility push(default)
extern "C" {

void jit_worker_main(Datum);

void jit_worker_main(Datum) {
    pg::guarded([] {
        pg::connect_worker(settings::database);
        worker::run();
    });
}

void jit_drill_main(Datum);

void jit_drill_main(Datum) {
    pg::guarded([] { drill::conduct(); });
}

void jit_drill_actor_main(Datum);

void jit_drill_actor_main(Datum) {
    pg::guarded([] { drill::act(); });
}

void jit_cleanup_main(Datum);

void jit_cleanup_main(Datum) {
    pg::guarded([] {
        const auto cleanup_task = pg::connect_for_cleanup();
        task::run_or_log("clean up the objects of a grant in this database",
                         [&] { cleanup::clean_this_database(cleanup_task.role, cleanup_task.new_owner); });
        wake_worker();
    });
}

void jit_job_main(Datum);

void jit_job_main(Datum) {
    pg::guarded([] { schedule::execute_job(pg::connect_job(settings::database)); });
}

}  // extern "C"
#pragma GCC visibility pop

}  // namespace jit::api
