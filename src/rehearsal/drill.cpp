#include "jit_access/rehearsal/drill.hpp"
#include "jit_access/policy/template_settings.hpp"

#include <span>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/worker.hpp"
#include "jit_access/policy/template.hpp"
#include "jit_access/rehearsal/drill_actor.hpp"
#include "jit_access/rehearsal/drill_steps.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::drill {

using core::Code;
using core::Failure;
using core::invalid;

namespace {

constexpr std::int64_t usual_patience = 10 * core::us_per_second;
constexpr std::int64_t max_patience = 60 * core::us_per_second;

std::int64_t checked_patience(const std::optional<core::IntervalParts>& patience) {
    if (!patience) return usual_patience;
    const auto given = templates::checked_duration(*patience, "step_timeout");
    if (given > max_patience)
        throw invalid("step_timeout", "It is " + core::format_duration(given) + ".", "Give a step at most a minute.");
    return given;
}

bool is_set_up() {
    return pg::query_row("SELECT 1 FROM jit_access.template WHERE name = $1 AND dropped_at IS NULL",
                         {std::string(core::drill_template)})
        .has_value();
}

// Until the process that conducts takes it over.
void claim_desk() {
    auto& desk = shared_state->drill;
    auto holder = desk.conductor_pid.load();
    if (!pg::process_exists(holder) && desk.conductor_pid.compare_exchange_strong(holder, pg::backend_pid())) return;
    throw Failure(Code::wrong_state, "a drill is running", "There is one at a time, and it takes a few seconds.",
                  "Look at jit_access.drills.");
}

void give_back_desk() noexcept {
    auto mine = pg::backend_pid();
    shared_state->drill.conductor_pid.compare_exchange_strong(mine, 0);
}

pg::Process start_conductor(const Plan& plan) {
    const auto process = pg::start_process("jit_drill_main", std::as_bytes(std::span(&plan, 1)));
    if (process == nullptr)
        throw Failure(Code::limit_exceeded, "the drill could not be started", "No background worker was free.",
                      "See max_worker_processes; a drill needs three.");
    return process;
}

static_assert(sizeof(Plan) <= pg::max_start_parameters && sizeof(Cue) <= pg::max_start_parameters);

struct Started {
    std::int64_t id = 0;
    pg::Process conductor = nullptr;
};

Started start(const principal::Person& by, std::int64_t patience) {
    Plan plan{.patience = patience};
    by.name.copy(plan.by.data(), plan.by.size() - 1);
    claim_desk();
    try {
        plan.id = pg::query_row("SELECT pg_catalog.nextval('jit_access.drill_id_seq')").value().get<std::int64_t>(0);
        shared_state->drill.drill_id.store(plan.id);
        return {plan.id, start_conductor(plan)};
    } catch (...) {
        give_back_desk();
        throw;
    }
}

void wait_for_end(const Started& drill) {
    constexpr int step_ms = 20;
    while (!pg::has_exited(drill.conductor)) pg::nap(step_ms);
    give_back_desk();  // it has not come so far as to take it over
}

// Also for who looks through an older snapshot.
std::vector<Step> steps_of(std::int64_t id) {
    const auto row =
        pg::query_latest(
            "SELECT array_agg(name ORDER BY step), array_agg(ok::text ORDER BY step), array_agg(latency_ms::text ORDER "
            "BY step), array_agg(coalesce(detail, '') ORDER BY step) FROM jit_access.drill_step WHERE drill_id = $1",
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

std::string in_a_line(std::int64_t id, const std::vector<Step>& steps) {
    const std::string drill = "drill " + std::to_string(id);
    const auto& last = steps.back();
    if (last.ok) return drill + ": all " + std::to_string(steps.size()) + " steps are good";
    return drill + ": failed at \"" + last.name + "\": " + last.detail.value_or("");
}

}  // namespace

std::vector<Step> run(const std::optional<core::IntervalParts>& patience) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto each = checked_patience(patience);
    if (!is_set_up())
        throw Failure(Code::wrong_state, "the drill is not set up", "Its template does not exist.",
                      "An administrator sets it up with jit_set_up_drill().");
    const auto started = start(me, each);
    wait_for_end(started);
    return steps_of(started.id);
}

std::string as_job() {
    const auto me = principal::of_session();
    principal::require_admin(me);
    if (!is_set_up()) return "nothing to do: the drill is not set up";
    const auto started = start(me, usual_patience);
    if (shared_state->worker_pid.load() == pg::backend_pid())
        return "drill " + std::to_string(started.id) + ": started";
    wait_for_end(started);
    return in_a_line(started.id, steps_of(started.id));
}

}  // namespace jit::drill
