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

void leave_desk() noexcept {
    auto mine = pg::backend_pid();
    shared_state->drill.conductor_pid.compare_exchange_strong(mine, 0);
}

// From whoever has started it and waits; nobody else can have it meanwhile.
bool take_desk(const Plan& plan) {
    auto& desk = shared_state->drill;
    auto starter = desk.conductor_pid.load();
    if (desk.drill_id.load() != plan.id || starter == 0 ||
        !desk.conductor_pid.compare_exchange_strong(starter, pg::backend_pid()))
        return false;
    pg::on_session_end(leave_desk);
    desk.grant_deadline.store(0);
    return true;
}

void open_book(const Plan& plan) {
    constexpr std::int64_t max_kept = 1000;
    task::run_or_log("begin a drill", [&] {
        pg::execute(
            "UPDATE jit_access.drill SET ok = false, finished_at = pg_catalog.clock_timestamp() WHERE ok IS NULL");
        pg::execute("DELETE FROM jit_access.drill WHERE id <= $1", {plan.id - max_kept});
        pg::execute(
            "INSERT INTO jit_access.drill (id, started_at, started_by) OVERRIDING SYSTEM VALUE VALUES ($1, "
            "pg_catalog.clock_timestamp(), $2)",
            {plan.id, std::string(plan.by.data())});
    });
}

struct Outcome {
    std::int64_t took = 0;
    std::optional<std::string> why;  // it is not as it should be
};

Outcome take(const NamedStep& step, Scene& scene) {
    const auto began = pg::boot_clock();
    try {
        return {step.take(scene), std::nullopt};
    } catch (const core::Failure& missed) {
        return {pg::boot_clock() - began, missed.message};
    }
}

void note(const Scene& scene, std::int32_t number, const NamedStep& step, const Outcome& outcome) {
    task::run_or_log("keep a step of the drill", [&] {
        pg::execute(
            "INSERT INTO jit_access.drill_step (drill_id, step, name, ok, latency_ms, detail) VALUES ($1, $2, $3, $4, "
            "round($5::numeric / 1000, 3), $6)",
            {scene.plan.id, number, std::string(step.name), !outcome.why, outcome.took, pg::nullable(outcome.why)});
        if (!outcome.why) return;
        control_event::write("drill failed", scene.grant == 0 ? std::nullopt : std::optional(scene.grant), task::actor,
                             {{"drill", std::to_string(scene.plan.id)}, {"step", step.name}, {"why", outcome.why}});
    });
    if (outcome.why)
        pg::log_line("drill " + std::to_string(scene.plan.id) + " has failed at \"" + step.name +
                     "\": " + *outcome.why);
}

void close_book(const Scene& scene, bool ok) {
    task::run_or_log("end a drill", [&] {
        pg::execute(
            "UPDATE jit_access.drill SET finished_at = pg_catalog.clock_timestamp(), ok = $2, grant_id = nullif($3, 0) "
            "WHERE id = $1",
            {scene.plan.id, ok, scene.grant});
    });
}

}  // namespace

void conduct() {
    Scene scene;
    pg::read_start_parameters(std::as_writable_bytes(std::span(&scene.plan, 1)));
    pg::connect_process(nullptr, "jit_access drill conductor");
    if (!take_desk(scene.plan)) return;
    open_book(scene.plan);
    bool ok = true;
    std::int32_t number = 0;
    for (const auto& step : steps()) {
        const auto outcome = take(step, scene);
        note(scene, ++number, step, outcome);
        ok = !outcome.why;
        if (!ok) break;
    }
    close_book(scene, ok);
    // What it has asked for and nobody has approved lapses by itself, what it has been given ends.
    for (const auto actor : scene.actors) pg::terminate_process(actor);
}

}  // namespace jit::drill
