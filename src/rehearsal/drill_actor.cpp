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

constexpr const char* canary = "SELECT sings FROM jit_drill.canary";
constexpr std::string_view no_privilege = "42501";
constexpr std::string_view cancelled = "57014";

// A statement in a transaction of its own, as a client would send it.
struct Try {
    std::optional<std::string> fault;
    std::string sqlstate;
    std::int64_t began = pg::wall_clock();
    std::int64_t done = 0;
};

Try attempt(const std::function<void()>& body) {
    Try made;
    made.fault = pg::in_own_transaction([&] {
        try {
            body();
        } catch (const pg::ServerError& error) {
            made.sqlstate = error.sqlstate();
            throw;
        }
    });
    made.done = pg::wall_clock();
    return made;
}

Try look_at_canary() {
    return attempt([] {
        const auto row = pg::query_row(canary);
        if (!row || row->is_null(0) || !row->get<bool>(0))
            throw core::Failure(Code::wrong_state, "the canary is not there");
    });
}

void say(DrillCheck point, DrillOutcome word, std::int64_t took, std::int64_t number, const std::string& why) noexcept {
    auto& answer = shared_state->drill.results.at(static_cast<std::size_t>(point));
    std::array<char, 256> text{};
    std::copy_n(why.begin(), pg::clip_at_character(why.data(), why.size(), text.size() - 1), text.begin());
    answer.reason.store(text);
    answer.duration.store(took);
    answer.number.store(number);
    answer.outcome.store(word, std::memory_order_release);
}

void say_good(DrillCheck point, std::int64_t took, std::int64_t number = 0) noexcept {
    say(point, DrillOutcome::passed, took, number, {});
}

void say_failed(DrillCheck point, const std::string& why) noexcept { say(point, DrillOutcome::failed, 0, 0, why); }

// A cancel that comes in between concerns nothing that runs.
void pause(int milliseconds) {
    try {
        pg::nap(milliseconds);
    } catch (const pg::ServerError&) {  // nothing is lost: no transaction is open
    }
}

bool is_on(const Cue& cue) noexcept {
    return shared_state->drill.drill_id.load() == cue.drill &&
           pg::process_exists(shared_state->drill.conductor_pid.load());
}

bool is_closed_before() {
    const auto before = look_at_canary();
    if (before.sqlstate == no_privilege) {
        say_good(DrillCheck::denied_before, before.done - before.began);
        return true;
    }
    say_failed(DrillCheck::denied_before, before.fault ? "It is refused for another reason: " + *before.fault
                                                       : "The canary can be read without a grant.");
    return false;
}

bool ask() {
    std::int64_t id = 0;
    const auto asked = attempt([&] {
        id = pg::query_row("SELECT pg_catalog.jit_request($1, $2, reason => 'drill')",
                           {std::string(core::drill_template), pg::Duration{grant_duration}})
                 .value()
                 .get<std::int64_t>(0);
    });
    if (asked.fault)
        say_failed(DrillCheck::requested, *asked.fault);
    else
        say_good(DrillCheck::requested, asked.done - asked.began, id);
    return !asked.fault;
}

bool use() {
    const auto used = look_at_canary();
    if (used.fault)
        say_failed(DrillCheck::used, *used.fault);
    else
        say_good(DrillCheck::used, used.done - used.began);
    return !used.fault;
}

// What came of one statement around the deadline; nothing: the next one will tell.
std::optional<std::string> judge(const Try& tried, std::int64_t deadline, bool& refused) {
    if (!tried.fault) {
        if (tried.began < deadline) return std::nullopt;
        return "A statement that began " + core::format_duration(tried.began - deadline) +
               " after the deadline was let through.";
    }
    if (tried.sqlstate == cancelled) return std::nullopt;
    if (tried.sqlstate != core::entry(Code::grant_over).sqlstate) return *tried.fault;
    if (tried.done < deadline) return "It was refused before the deadline: " + *tried.fault;
    refused = true;
    return std::nullopt;
}

// One that needs no privilege: what is refused in it is refused for the grant that the session has used.
Try do_nothing() {
    return attempt([] { pg::query("SELECT true"); });
}

// Statement after statement, from just before the deadline on, until one is refused.
void meet_deadline(const Cue& cue, std::int64_t deadline) {
    constexpr std::int64_t just_before = 20'000;
    constexpr int step_ms = 5;
    while (is_on(cue) && pg::wall_clock() < deadline - just_before) pause(step_ms);
    while (is_on(cue)) {
        bool refused = false;
        auto tried = look_at_canary();
        // The memberships may be gone already.
        if (tried.sqlstate == no_privilege && tried.done >= deadline) tried = do_nothing();
        if (const auto fault = judge(tried, deadline, refused)) return say_failed(DrillCheck::denied_after, *fault);
        if (refused) return say_good(DrillCheck::denied_after, tried.done - deadline);
        if (tried.done > deadline + cue.patience) return say_failed(DrillCheck::denied_after, "Nothing was refused.");
        pause(step_ms);
    }
}

void play_requester(const Cue& cue) {
    constexpr int step_ms = 2;
    if (!is_closed_before() || !ask()) return;
    while (is_on(cue) && shared_state->drill.grant_deadline.load() == 0) pause(step_ms);
    const auto deadline = shared_state->drill.grant_deadline.load();
    if (deadline != 0 && use()) meet_deadline(cue, deadline);
}

void play_approver(const Cue& cue) {
    const auto point = cue.part == Part::approver_1 ? DrillCheck::first_approval : DrillCheck::second_approval;
    const auto approved =
        attempt([&] { pg::query_row("SELECT pg_catalog.jit_approve($1, comment => 'drill')", {cue.request}); });
    if (approved.fault) return say_failed(point, *approved.fault);
    say_good(point, approved.done - approved.began);
}

void leave_stage() noexcept { shared_state->drill.actor_count.fetch_sub(1); }

}  // namespace

void act() {
    Cue cue;
    pg::read_start_parameters(std::as_writable_bytes(std::span(&cue, 1)));
    pg::connect_process(logins.at(static_cast<std::size_t>(cue.part)), "jit_access drill");
    pg::on_session_end(leave_stage);
    shared_state->drill.actor_count.fetch_add(
        1);  // before it is asked which drill is on: who conducts the next one waits for it
    if (!is_on(cue)) return;
    service_identity::become_actor();
    if (cue.part == Part::requester)
        play_requester(cue);
    else
        play_approver(cue);
}

}  // namespace jit::drill
