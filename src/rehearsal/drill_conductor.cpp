#include "jit_access/rehearsal/drill_conductor.hpp"

#include <span>

#include "jit_access/core/duration.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/invalidation.hpp"
#include "jit_access/rehearsal/drill.hpp"
#include "jit_access/rehearsal/drill_steps.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::drill {

namespace {

void release_drill() noexcept {
    auto own_pid = pg::backend_pid();
    shared_state->drill.conductor_pid.compare_exchange_strong(own_pid, 0);
}

// Makes this process the owner of the drill instead of the session that has started it. Returns false if this drill is
// no longer the claimed one.
bool take_over_drill(const ConductorOrder& order) {
    auto& drill = shared_state->drill;
    auto starter = drill.conductor_pid.load();
    if (drill.drill_id.load() != order.drill || starter == 0 ||
        !drill.conductor_pid.compare_exchange_strong(starter, pg::backend_pid()))
        return false;
    pg::on_session_end(release_drill);
    drill.grant_deadline.store(0);
    return true;
}

// Also closes interrupted drills and deletes old ones.
void insert_drill(const ConductorOrder& order) {
    constexpr std::int64_t max_drills = 1000;
    task::run_or_log("begin a drill", [&] {
        pg::execute(R"sql(
            UPDATE jit_access.drill
            SET ok = false, finished_at = pg_catalog.clock_timestamp()
            WHERE ok IS NULL)sql");
        pg::execute("DELETE FROM jit_access.drill WHERE id <= $1", {order.drill - max_drills});
        pg::execute(R"sql(
            INSERT INTO jit_access.drill (id, started_at, started_by)
            VALUES ($1, pg_catalog.clock_timestamp(), $2))sql",
                    {order.drill, std::string(order.started_by.data())});
    });
}

struct StepResult {
    std::int64_t latency = 0;          // microseconds
    std::optional<std::string> fault;  // nothing if the step went as expected
};

StepResult run_step(const DrillStep& step, Progress& progress) {
    const auto started = pg::boot_clock();
    try {
        return {step.run(progress), std::nullopt};
    } catch (const core::Failure& failure) {
        return {pg::boot_clock() - started, failure.message};
    }
}

void store_step(const Progress& progress, std::int32_t number, const DrillStep& step, const StepResult& result) {
    task::run_or_log("keep a step of the drill", [&] {
        pg::execute(
            R"sql(
            INSERT INTO jit_access.drill_step (drill_id, step, name, ok, latency_ms, detail)
            VALUES ($1, $2, $3, $4, round($5::numeric / 1000, 3), $6))sql",
            {progress.order.drill, number, std::string(step.name), !result.fault, result.latency,
             pg::nullable(result.fault)});
        if (!result.fault) return;
        control_event::write(
            "drill failed", progress.grant == 0 ? std::nullopt : std::optional(progress.grant), task::actor,
            {{"drill", std::to_string(progress.order.drill)}, {"step", step.name}, {"why", result.fault}});
    });
    if (result.fault)
        pg::log_line("drill " + std::to_string(progress.order.drill) + " has failed at \"" + step.name +
                     "\": " + *result.fault);
}

void finish_drill(const Progress& progress, bool ok) {
    task::run_or_log("end a drill", [&] {
        pg::execute(
            R"sql(
            UPDATE jit_access.drill
            SET finished_at = pg_catalog.clock_timestamp(), ok = $2, grant_id = nullif($3, 0)
            WHERE id = $1)sql",
            {progress.order.drill, ok, progress.grant});
    });
}

}  // namespace

void conduct() {
    Progress progress;
    pg::read_start_parameters(std::as_writable_bytes(std::span(&progress.order, 1)));
    pg::connect_process(nullptr, "jit_access drill conductor");
    if (!take_over_drill(progress.order)) return;
    insert_drill(progress.order);
    bool ok = true;
    std::int32_t number = 0;
    for (const auto& step : steps()) {
        const auto result = run_step(step, progress);
        store_step(progress, ++number, step, result);
        ok = !result.fault;
        if (!ok) break;
    }
    finish_drill(progress, ok);
    // A request that is still pending lapses by itself, and an active grant ends at its deadline.
    for (const auto actor : progress.actors) pg::terminate_process(actor);
}

}  // namespace jit::drill
