#include "jit_access/rehearsal/drill_actor.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <span>

#include "jit_access/core/duration.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/identity/service_identity.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/invalidation.hpp"
#include "jit_access/pg/sql.hpp"
#include "jit_access/pg/worker.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::drill {

using core::Code;

namespace {

constexpr const char* canary_query = "SELECT sings FROM jit_drill.canary";

// One statement in a transaction of its own, as a client would send it. Times are those of the wall clock.
struct Attempt {
    std::optional<std::string> fault;
    std::string sqlstate;
    std::int64_t started = pg::wall_clock();
    std::int64_t finished = 0;
};

Attempt send_statement(const std::function<void()>& body) {
    Attempt attempt;
    attempt.fault = pg::in_own_transaction([&] {
        try {
            body();
        } catch (const pg::ServerError& error) {
            attempt.sqlstate = error.sqlstate();
            throw;
        }
    });
    attempt.finished = pg::wall_clock();
    return attempt;
}

Attempt read_canary() {
    return send_statement([] {
        const auto row = pg::query_row(canary_query);
        if (!row || row->is_null(0) || !row->get<bool>(0))
            throw core::Failure(Code::wrong_state, "the canary is not there");
    });
}

// Reports the result to the conductor. The outcome is stored last, because the conductor waits for it and then reads
// the rest.
void store_result(DrillCheck check, DrillOutcome word, std::int64_t duration, std::int64_t number,
                  const std::string& why) noexcept {
    auto& result = shared_state->drill.results.at(static_cast<std::size_t>(check));
    std::array<char, 256> text{};
    std::copy_n(why.begin(), pg::clip_at_character(why.data(), why.size(), text.size() - 1), text.begin());
    result.reason.store(text);
    result.duration.store(duration);
    result.number.store(number);
    result.outcome.store(word, std::memory_order_release);
}

void report_success(DrillCheck check, std::int64_t duration, std::int64_t number = 0) noexcept {
    store_result(check, DrillOutcome::passed, duration, number, {});
}

void report_failure(DrillCheck check, const std::string& why) noexcept {
    store_result(check, DrillOutcome::failed, 0, 0, why);
}

// A statement that is still running at the deadline is cancelled. A cancel that arrives between two statements is
// dropped here, because no transaction is open.
void nap(int milliseconds) {
    try {
        pg::nap(milliseconds);
    } catch (const pg::ServerError&) {
    }
}

bool is_running(const ActorOrder& order) noexcept {
    return shared_state->drill.drill_id.load() == order.drill &&
           pg::process_exists(shared_state->drill.conductor_pid.load());
}

// Returns whether the actor continues.
bool expect_no_access() {
    const auto attempt = read_canary();
    if (attempt.sqlstate == pg::sqlstate::insufficient_privilege) {
        report_success(DrillCheck::denied_before, attempt.finished - attempt.started);
        return true;
    }
    report_failure(DrillCheck::denied_before, attempt.fault ? "It is refused for another reason: " + *attempt.fault
                                                            : "The canary can be read without a grant.");
    return false;
}

bool request() {
    std::int64_t id = 0;
    const auto attempt = send_statement([&] {
        id = pg::query_row("SELECT pg_catalog.jit_request($1, $2, reason => 'drill')",
                           {std::string(core::drill_template), pg::Duration{grant_duration}})
                 .value()
                 .get<std::int64_t>(0);
    });
    if (attempt.fault)
        report_failure(DrillCheck::requested, *attempt.fault);
    else
        report_success(DrillCheck::requested, attempt.finished - attempt.started, id);
    return !attempt.fault;
}

bool use() {
    const auto attempt = read_canary();
    if (attempt.fault)
        report_failure(DrillCheck::used, *attempt.fault);
    else
        report_success(DrillCheck::used, attempt.finished - attempt.started);
    return !attempt.fault;
}

// Checks one statement around the deadline. Returns a fault, or sets `is_refused` if the statement was refused as
// required. If it does neither, the next statement decides.
std::optional<std::string> check_at_deadline(const Attempt& attempt, std::int64_t deadline, bool& is_refused) {
    if (!attempt.fault) {
        if (attempt.started < deadline) return std::nullopt;
        return "A statement that began " + core::format_duration(attempt.started - deadline) +
               " after the deadline was let through.";
    }
    if (attempt.sqlstate == pg::sqlstate::query_canceled) return std::nullopt;
    if (attempt.sqlstate != core::entry(Code::grant_over).sqlstate) return *attempt.fault;
    if (attempt.finished < deadline) return "It was refused before the deadline: " + *attempt.fault;
    is_refused = true;
    return std::nullopt;
}

// The statement needs no privilege, so it can be refused only because the session has used a grant that has ended.
Attempt run_plain_statement() {
    return send_statement([] { pg::query("SELECT true"); });
}

// Starting just before the deadline, runs one statement after another until one is refused.
void wait_for_refusal(const ActorOrder& order, std::int64_t deadline) {
    constexpr std::int64_t just_before = 20'000;
    constexpr int poll_ms = 5;
    while (is_running(order) && pg::wall_clock() < deadline - just_before) nap(poll_ms);
    while (is_running(order)) {
        bool is_refused = false;
        auto attempt = read_canary();
        // The memberships may already be revoked; then the statement is refused for lack of privileges.
        if (attempt.sqlstate == pg::sqlstate::insufficient_privilege && attempt.finished >= deadline)
            attempt = run_plain_statement();
        if (const auto fault = check_at_deadline(attempt, deadline, is_refused))
            return report_failure(DrillCheck::denied_after, *fault);
        if (is_refused) return report_success(DrillCheck::denied_after, attempt.finished - deadline);
        if (attempt.finished > deadline + order.step_timeout)
            return report_failure(DrillCheck::denied_after, "Nothing was refused.");
        nap(poll_ms);
    }
}

void act_as_requester(const ActorOrder& order) {
    constexpr int poll_ms = 2;
    if (!expect_no_access() || !request()) return;
    while (is_running(order) && shared_state->drill.grant_deadline.load() == 0) nap(poll_ms);
    const auto deadline = shared_state->drill.grant_deadline.load();
    if (deadline != 0 && use()) wait_for_refusal(order, deadline);
}

void act_as_approver(const ActorOrder& order) {
    const auto check = order.actor == Actor::approver_1 ? DrillCheck::first_approval : DrillCheck::second_approval;
    const auto attempt = send_statement(
        [&] { pg::query_row("SELECT pg_catalog.jit_approve($1, comment => 'drill')", {order.request}); });
    if (attempt.fault) return report_failure(check, *attempt.fault);
    report_success(check, attempt.finished - attempt.started);
}

void leave_drill() noexcept { shared_state->drill.actor_count.fetch_sub(1); }

}  // namespace

void act() {
    ActorOrder order;
    pg::read_start_parameters(std::as_writable_bytes(std::span(&order, 1)));
    pg::connect_process(actor_logins.at(static_cast<std::size_t>(order.actor)), "jit_access drill");
    pg::on_session_end(leave_drill);
    // The actor is counted before the drill is checked, because the conductor of the next drill waits until no actor is
    // left.
    shared_state->drill.actor_count.fetch_add(1);
    if (!is_running(order)) return;
    service_identity::become_actor();
    if (order.actor == Actor::requester)
        act_as_requester(order);
    else
        act_as_approver(order);
}

}  // namespace jit::drill
