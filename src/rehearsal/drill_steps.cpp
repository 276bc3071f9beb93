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

constexpr int poll_ms = 5;

[[noreturn]] void fail_step(const std::string& why) { throw core::Failure(core::Code::wrong_state, why); }

// A fault of the conductor's own statement fails the step.
void in_transaction(const std::function<void()>& body) {
    if (const auto fault = pg::in_own_transaction(body)) fail_step(*fault);
}

std::string step_timeout_of(const Progress& progress) { return core::format_duration(progress.order.step_timeout); }

pg::Process start_actor(Progress& progress, Actor actor) {
    const ActorOrder order{.drill = progress.order.drill,
                           .request = progress.grant,
                           .step_timeout = progress.order.step_timeout,
                           .actor = actor};
    const auto process = pg::start_process("jit_drill_actor_main", std::as_bytes(std::span(&order, 1)));
    if (process == nullptr) fail_step("No background worker was free; see max_worker_processes.");
    progress.actors.push_back(process);
    return process;
}

const DrillResult& result_of(DrillCheck check) noexcept {
    return shared_state->drill.results.at(static_cast<std::size_t>(check));
}

// Returns the latency that the actor has measured.
std::int64_t wait_for_result(DrillCheck check, pg::Process actor, std::int64_t until, const std::string& step_timeout) {
    const auto& result = result_of(check);
    for (;;) {
        // Read before the result: otherwise the actor could store its result and exit between the two reads.
        const bool has_ended = pg::has_exited(actor);
        switch (result.outcome.load(std::memory_order_acquire)) {
            case DrillOutcome::passed: return result.duration.load();
            case DrillOutcome::failed: fail_step(result.reason.load().data());
            case DrillOutcome::pending: break;
        }
        if (has_ended) fail_step("Its process has ended without an answer; the server log says why.");
        if (pg::wall_clock() > until) fail_step("There was no answer within " + step_timeout + ".");
        pg::nap(poll_ms);
    }
}

std::int64_t wait_for_result(const Progress& progress, DrillCheck check, pg::Process actor) {
    return wait_for_result(check, actor, pg::wall_clock() + progress.order.step_timeout, step_timeout_of(progress));
}

struct GrantState {
    std::string state;
    std::int64_t ends_at = 0;
    bool is_cleaned_up = false;
};

GrantState read_grant(const Progress& progress) {
    GrantState grant;
    in_transaction([&] {
        const auto row = pg::query_row(
                             R"sql(
                             SELECT state::text, ends_at, cleanup = 'done' AND pg_catalog.to_regrole($2) IS NULL
                             FROM jit_access.request
                             WHERE id = $1)sql",
                             {progress.grant, std::string(core::grant_role_prefix) + std::to_string(progress.grant)})
                             .value();
        grant = {row.get<std::string>(0), row.is_null(1) ? 0 : row.get<pg::Instant>(1).us, row.get<bool>(2)};
    });
    return grant;
}

void expect_state(const Progress& progress, const char* state, const char* why) {
    if (const auto grant = read_grant(progress); grant.state != state) fail_step("It is " + grant.state + ": " + why);
}

// ---- the steps, in their order --------------------------------------------------------------------------------------

// An interrupted drill may have left a grant, and actors whose results would be taken for those of this drill. Both end
// by themselves.
void wait_for_earlier_drills(const Progress& progress) {
    const auto until = pg::wall_clock() + progress.order.step_timeout;
    while (shared_state->drill.actor_count.load() > 0) {
        if (pg::wall_clock() > until)
            fail_step(
                "A process of an earlier drill is still there; in pg_stat_activity it is a jit_drill_actor_main.");
        pg::nap(poll_ms);
    }
    for (auto& result : shared_state->drill.results) result.outcome.store(DrillOutcome::pending);
    for (;;) {
        std::optional<std::int64_t> left;
        in_transaction([&] {
            left = pg::query_row(R"sql(
                SELECT min(id)
                FROM jit_access.request
                WHERE requester = (SELECT oid FROM pg_catalog.pg_authid WHERE rolname = $1)
                  AND (state IN ('active', 'suspended') OR cleanup = 'due'))sql",
                                 {std::string(actor_logins[0])})
                       .value()
                       .maybe<std::int64_t>(0);
        });
        if (!left) return;
        if (pg::wall_clock() > until)
            fail_step("Grant " + std::to_string(*left) + " of an earlier drill is still there.");
        pg::nap(poll_ms);
    }
}

std::int64_t expect_no_access(Progress& progress) {
    wait_for_earlier_drills(progress);
    progress.requester = start_actor(progress, Actor::requester);
    return wait_for_result(progress, DrillCheck::denied_before, progress.requester);
}

std::int64_t expect_request(Progress& progress) {
    const auto took = wait_for_result(progress, DrillCheck::requested, progress.requester);
    progress.grant = result_of(DrillCheck::requested).number.load();
    expect_state(progress, "pending", "it has not been approved yet.");
    return took;
}

std::int64_t expect_first_approval(Progress& progress) {
    const auto took = wait_for_result(progress, DrillCheck::first_approval, start_actor(progress, Actor::approver_1));
    expect_state(progress, "pending", "one of two has approved it.");
    return took;
}

std::int64_t expect_second_approval(Progress& progress) {
    const auto took = wait_for_result(progress, DrillCheck::second_approval, start_actor(progress, Actor::approver_2));
    const auto grant = read_grant(progress);
    if (grant.ends_at == 0) fail_step("It is " + grant.state + ": two of two have approved it.");
    progress.deadline = grant.ends_at;
    shared_state->drill.grant_deadline.store(grant.ends_at);
    return took;
}

std::int64_t expect_use(Progress& progress) { return wait_for_result(progress, DrillCheck::used, progress.requester); }

// The requester measures the refusal. It also waits for `step_timeout` after the deadline, so the conductor waits for
// twice as long.
std::int64_t expect_refusal(Progress& progress) {
    const auto step_timeout = 2 * progress.order.step_timeout;
    return wait_for_result(DrillCheck::denied_after, progress.requester, progress.deadline + step_timeout,
                           core::format_duration(step_timeout));
}

std::int64_t expect_cleanup(Progress& progress) {
    const auto until = pg::wall_clock() + progress.order.step_timeout;
    while (!read_grant(progress).is_cleaned_up) {
        if (pg::wall_clock() > until)
            fail_step(
                "Its temporary role is still there after " + step_timeout_of(progress) +
                "; access is refused. Is the worker running? See jit_access.health and jit_access.active_grants.");
        pg::nap(poll_ms);
    }
    return pg::wall_clock() - progress.deadline;
}

std::int64_t expect_record(Progress& progress) {
    const auto started = pg::wall_clock();
    std::string missing;
    for (;;) {
        in_transaction([&] {
            missing = pg::query_row(R"sql(
                SELECT coalesce(string_agg(k, ', ' ORDER BY n), '')
                FROM unnest('{requested,approved,activated,use,refusal,ended,cleaned up}'::text[])
                     WITH ORDINALITY e (k, n)
                WHERE NOT EXISTS (SELECT FROM jit_access.record r WHERE r.grant_id = $1 AND r.kind = k))sql",
                                    {progress.grant})
                          .value()
                          .get<std::string>(0);
        });
        if (missing.empty()) return pg::wall_clock() - started;
        if (pg::wall_clock() > started + progress.order.step_timeout)
            fail_step("After " + step_timeout_of(progress) + " the record lacks: " + missing + ".");
        pg::nap(poll_ms);
    }
}

std::int64_t expect_sound_record(Progress& progress) {
    const auto started = pg::wall_clock();
    chain::Verification verdict;
    in_transaction([&] {
        const auto range =
            pg::query_row("SELECT min(seq), max(seq) FROM jit_access.record WHERE grant_id = $1", {progress.grant})
                .value();
        verdict = chain::verify(range.get<std::int64_t>(0), range.get<std::int64_t>(1));
    });
    if (verdict.is_broken())
        fail_step("The record is not sound at " + std::to_string(verdict.findings.front().seq) + ": " +
                  verdict.findings.front().message);
    return pg::wall_clock() - started;
}

}  // namespace

std::array<DrillStep, 9> steps() noexcept {
    return {{{"closed before", expect_no_access},
             {"request", expect_request},
             {"first approval", expect_first_approval},
             {"second approval", expect_second_approval},
             {"use", expect_use},
             {"refusal at the deadline", expect_refusal},
             {"clean-up", expect_cleanup},
             {"record", expect_record},
             {"verification", expect_sound_record}}};
}

}  // namespace jit::drill
