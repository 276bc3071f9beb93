#include "jit_access/rehearsal/drill.hpp"

#include <span>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/worker.hpp"
#include "jit_access/policy/template.hpp"
#include "jit_access/policy/template_settings.hpp"
#include "jit_access/record/identifier.hpp"
#include "jit_access/rehearsal/drill_actor.hpp"
#include "jit_access/rehearsal/drill_steps.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::drill {

using core::Code;
using core::Failure;
using core::invalid;

namespace {

constexpr std::int64_t default_step_timeout = 10 * core::us_per_second;
constexpr std::int64_t max_step_timeout = 60 * core::us_per_second;

std::int64_t checked_step_timeout(const std::optional<core::IntervalParts>& step_timeout) {
    if (!step_timeout) return default_step_timeout;
    const auto us = templates::checked_duration(*step_timeout, "step_timeout");
    if (us > max_step_timeout)
        throw invalid("step_timeout", "It is " + core::format_duration(us) + ".", "Give a step at most a minute.");
    return us;
}

bool is_set_up() {
    return pg::query_row("SELECT 1 FROM jit_access.template WHERE name = $1 AND dropped_at IS NULL",
                         {std::string(core::drill_template)})
        .has_value();
}

// Makes this session the owner of the drill until the conductor takes it over. The process id is used as a lock, which
// is free if the process no longer exists.
void claim_drill() {
    auto& owner = shared_state->drill.conductor_pid;
    auto pid = owner.load();
    if (!pg::process_exists(pid) && owner.compare_exchange_strong(pid, pg::backend_pid())) return;
    throw Failure(Code::wrong_state, "a drill is running", "There is one at a time, and it takes a few seconds.",
                  "See jit_access.drills.");
}

void release_drill() noexcept {
    auto own_pid = pg::backend_pid();
    shared_state->drill.conductor_pid.compare_exchange_strong(own_pid, 0);
}

pg::Process start_conductor(const ConductorOrder& order) {
    const auto process = pg::start_process("jit_drill_main", std::as_bytes(std::span(&order, 1)));
    if (process == nullptr)
        throw Failure(Code::limit_exceeded, "the drill could not be started", "No background worker was free.",
                      "See max_worker_processes; a drill needs three.");
    return process;
}

static_assert(sizeof(ConductorOrder) <= pg::max_start_parameters && sizeof(ActorOrder) <= pg::max_start_parameters);

struct StartedDrill {
    std::int64_t id = 0;
    pg::Process conductor = nullptr;
};

StartedDrill start(const principal::Person& caller, std::int64_t step_timeout) {
    ConductorOrder order{.step_timeout = step_timeout};
    caller.name.copy(order.started_by.data(), order.started_by.size() - 1);
    claim_drill();
    try {
        order.drill = identifier::next(identifier::Kind::drill);
        shared_state->drill.drill_id.store(order.drill);
        return {order.drill, start_conductor(order)};
    } catch (...) {
        release_drill();
        throw;
    }
}

void wait_for_end(const StartedDrill& drill) {
    constexpr int poll_ms = 20;
    while (!pg::has_exited(drill.conductor)) pg::nap(poll_ms);
    release_drill();  // in case the conductor has ended before it took over
}

// The steps were written by another process during this statement, so the transaction snapshot may not see them.
std::vector<Step> steps_of(std::int64_t id) {
    const auto row = pg::query_latest(R"sql(
            SELECT array_agg(name ORDER BY step), array_agg(ok::text ORDER BY step),
                   array_agg(latency_ms::text ORDER BY step), array_agg(coalesce(detail, '') ORDER BY step)
            FROM jit_access.drill_step
            WHERE drill_id = $1)sql",
                                      {id})
                         .value();
    if (row.is_null(0))
        throw Failure(Code::wrong_state, "drill " + std::to_string(id) + " did not begin",
                      "The process that conducts it has ended.", "The server log says why.");
    std::vector<Step> steps;
    for (const auto& name : row.get<pg::TextArray>(0)) {
        const auto i = steps.size();
        const auto& detail = row.get<pg::TextArray>(3).at(i);
        steps.push_back({.number = static_cast<std::int32_t>(i + 1),
                         .name = name,
                         .ok = row.get<pg::TextArray>(1).at(i) == "true",
                         .latency_ms = row.get<pg::TextArray>(2).at(i),
                         .detail = detail.empty() ? std::nullopt : std::optional(detail)});
    }
    return steps;
}

std::string summarise(std::int64_t id, const std::vector<Step>& steps) {
    const std::string drill = "drill " + std::to_string(id);
    const auto& last = steps.back();
    if (last.ok) return drill + ": all " + std::to_string(steps.size()) + " steps are good";
    return drill + ": failed at \"" + last.name + "\": " + last.detail.value_or("");
}

}  // namespace

std::vector<Step> run(const std::optional<core::IntervalParts>& step_timeout) {
    const auto caller = principal::caller();
    principal::require_admin(caller);
    const auto timeout = checked_step_timeout(step_timeout);
    if (!is_set_up())
        throw Failure(Code::wrong_state, "the drill is not set up", "Its template does not exist.",
                      "An administrator sets it up with jit_set_up_drill().");
    const auto started = start(caller, timeout);
    wait_for_end(started);
    return steps_of(started.id);
}

std::string run_as_job() {
    const auto caller = principal::session_person();
    principal::require_admin(caller);
    if (!is_set_up()) return "nothing to do: the drill is not set up";
    const auto started = start(caller, default_step_timeout);
    if (shared_state->worker_pid.load() == pg::backend_pid())
        return "drill " + std::to_string(started.id) + ": started";
    wait_for_end(started);
    return summarise(started.id, steps_of(started.id));
}

}  // namespace jit::drill
