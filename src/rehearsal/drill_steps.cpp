#include "jit_access/rehearsal/drill_steps.hpp"

#include <functional>
#include <optional>
#include <span>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/grants/provision.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/sql.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/record/chain.hpp"
#include "jit_access/rehearsal/drill_actor.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::drill {

namespace {

constexpr int step_ms = 5;

[[noreturn]] void miss(const std::string& why) { throw core::Failure(core::Code::wrong_state, why); }

void look(const std::function<void()>& body) {
    if (const auto fault = pg::in_own_transaction(body)) miss(*fault);
}

std::string patience_of(const Scene& scene) { return core::format_duration(scene.plan.patience); }

pg::Process start_actor(Scene& scene, Part part) {
    const Cue cue{.drill = scene.plan.id, .request = scene.grant, .patience = scene.plan.patience, .part = part};
    const auto actor = pg::start_process("jit_drill_actor_main", std::as_bytes(std::span(&cue, 1)));
    if (actor == nullptr) miss("No background worker was free; see max_worker_processes.");
    scene.actors.push_back(actor);
    return actor;
}

const DrillResult& answer_at(DrillCheck point) noexcept {
    return shared_state->drill.results.at(static_cast<std::size_t>(point));
}

std::int64_t wait_for(DrillCheck point, pg::Process actor, std::int64_t until, const std::string& patience) {
    const auto& answer = answer_at(point);
    for (;;) {
        const bool ended = pg::has_exited(actor);  // before its word is looked at, which it may have said as its last
        switch (answer.outcome.load(std::memory_order_acquire)) {
            case DrillOutcome::passed: return answer.duration.load();
            case DrillOutcome::failed: miss(answer.reason.load().data());
            case DrillOutcome::pending: break;
        }
        if (ended) miss("Its process has ended without an answer; the server log says why.");
        if (pg::wall_clock() > until) miss("There was no answer within " + patience + ".");
        pg::nap(step_ms);
    }
}

std::int64_t wait_for(const Scene& scene, DrillCheck point, pg::Process actor) {
    return wait_for(point, actor, pg::wall_clock() + scene.plan.patience, patience_of(scene));
}

struct Found {
    std::string state;
    std::int64_t ends_at = 0;
    bool gone = false;  // cleaned up
};

Found look_at_grant(const Scene& scene) {
    Found found;
    look([&] {
        const auto row = pg::query_row(
                             "SELECT state::text, ends_at, cleanup = 'done' AND pg_catalog.to_regrole($2) IS NULL FROM "
                             "jit_access.request WHERE id = $1",
                             {scene.grant, std::string(core::grant_role_prefix) + std::to_string(scene.grant)})
                             .value();
        found = {row.get<std::string>(0), row.is_null(1) ? 0 : row.get<pg::Instant>(1).us, row.get<bool>(2)};
    });
    return found;
}

void expect_state(const Scene& scene, const char* state, const char* why) {
    if (const auto found = look_at_grant(scene); found.state != state) miss("It is " + found.state + ": " + why);
}

// ---- the steps, in their order --------------------------------------------------------------------------------------

// One that was broken off may have left actors, who would answer in this one's place, and a grant. Both go in a moment.
void wait_for_earlier_ones(const Scene& scene) {
    const auto until = pg::wall_clock() + scene.plan.patience;
    while (shared_state->drill.actor_count.load() > 0) {
        if (pg::wall_clock() > until)
            miss("A process of an earlier drill is still there; in pg_stat_activity it is a jit_drill_actor_main.");
        pg::nap(step_ms);
    }
    for (auto& answer : shared_state->drill.results) answer.outcome.store(DrillOutcome::pending);
    for (;;) {
        std::optional<std::int64_t> left;
        look([&] {
            left = pg::query_row(
                       "SELECT min(id) FROM jit_access.request WHERE requester = (SELECT oid FROM pg_catalog.pg_authid "
                       "WHERE rolname = $1) AND (state IN ('active', 'suspended') OR cleanup = 'due')",
                       {std::string(logins[0])})
                       .value()
                       .maybe<std::int64_t>(0);
        });
        if (!left) return;
        if (pg::wall_clock() > until) miss("Grant " + std::to_string(*left) + " of an earlier drill is still there.");
        pg::nap(step_ms);
    }
}

std::int64_t is_closed(Scene& scene) {
    wait_for_earlier_ones(scene);
    scene.requester = start_actor(scene, Part::requester);
    return wait_for(scene, DrillCheck::denied_before, scene.requester);
}

std::int64_t is_asked(Scene& scene) {
    const auto took = wait_for(scene, DrillCheck::requested, scene.requester);
    scene.grant = answer_at(DrillCheck::requested).number.load();
    expect_state(scene, "pending", "nobody has approved it yet.");
    return took;
}

std::int64_t is_approved_once(Scene& scene) {
    const auto took = wait_for(scene, DrillCheck::first_approval, start_actor(scene, Part::approver_1));
    expect_state(scene, "pending", "one of two has approved it.");
    return took;
}

std::int64_t is_approved_twice(Scene& scene) {
    const auto took = wait_for(scene, DrillCheck::second_approval, start_actor(scene, Part::approver_2));
    const auto found = look_at_grant(scene);
    if (found.ends_at == 0) miss("It is " + found.state + ": two of two have approved it.");
    scene.deadline = found.ends_at;
    shared_state->drill.grant_deadline.store(found.ends_at);
    return took;
}

std::int64_t is_used(Scene& scene) { return wait_for(scene, DrillCheck::used, scene.requester); }

// What the requester finds; he waits as long.
std::int64_t is_refused(Scene& scene) {
    const auto patience = 2 * scene.plan.patience;
    return wait_for(DrillCheck::denied_after, scene.requester, scene.deadline + patience,
                    core::format_duration(patience));
}

std::int64_t is_cleaned_up(Scene& scene) {
    const auto until = pg::wall_clock() + scene.plan.patience;
    while (!look_at_grant(scene).gone) {
        if (pg::wall_clock() > until)
            miss("Its temporary role is still there after " + patience_of(scene) +
                 "; access is refused. Is the worker running? See jit_access.health and jit_access.active_grants.");
        pg::nap(step_ms);
    }
    return pg::wall_clock() - scene.deadline;
}

std::int64_t is_on_record(Scene& scene) {
    const auto began = pg::wall_clock();
    std::string missing;
    for (;;) {
        look([&] {
            missing = pg::query_row(
                          "SELECT coalesce(string_agg(k, ', ' ORDER BY n), '') FROM unnest('{requested,approved,"
                          "activated,use,refusal,ended,cleaned up}'::text[]) WITH ORDINALITY e (k, n) WHERE NOT EXISTS "
                          "(SELECT FROM jit_access.record r WHERE r.grant_id = $1 AND r.kind = k)",
                          {scene.grant})
                          .value()
                          .get<std::string>(0);
        });
        if (missing.empty()) return pg::wall_clock() - began;
        if (pg::wall_clock() > began + scene.plan.patience)
            miss("After " + patience_of(scene) + " the record lacks: " + missing + ".");
        pg::nap(step_ms);
    }
}

std::int64_t is_verified(Scene& scene) {
    const auto began = pg::wall_clock();
    chain::Verification verdict;
    look([&] {
        const auto range =
            pg::query_row("SELECT min(seq), max(seq) FROM jit_access.record WHERE grant_id = $1", {scene.grant})
                .value();
        verdict = chain::verify(range.get<std::int64_t>(0), range.get<std::int64_t>(1));
    });
    if (!verdict.sound)
        miss("The record is not sound at " + std::to_string(verdict.findings.front().seq) + ": " +
             verdict.findings.front().what);
    return pg::wall_clock() - began;
}

}  // namespace

std::array<NamedStep, 9> steps() noexcept {
    return {{{"closed before", is_closed},
             {"request", is_asked},
             {"first approval", is_approved_once},
             {"second approval", is_approved_twice},
             {"use", is_used},
             {"refusal at the deadline", is_refused},
             {"clean-up", is_cleaned_up},
             {"record", is_on_record},
             {"verification", is_verified}}};
}

}  // namespace jit::drill
