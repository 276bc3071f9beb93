#include "jit_access/grants/expire.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/grants/cleanup.hpp"
#include "jit_access/grants/decision.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/record/journal.hpp"
#include "jit_access/shared/blocking_session.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::expire {

namespace {

using core::Event;
using core::State;
using task::query_ids;
using task::run_in_transaction;

// Whoever holds a row open does not hold up the others: it is tried again.
void finish(const std::vector<std::int64_t>& requests, Event event, std::optional<State> only_from,
            const std::string& reason) {
    const auto failed = task::run_for_each(requests, [&](std::int64_t id) {
        auto request = request::try_lock(id);
        if (!request || (only_from && request->state != *only_from) || !core::next(request->state, event)) return;
        request::advance(*request, event, task::actor, reason);
        commit_actions::finish(static_cast<std::uint64_t>(id));
    });
    for (const auto& [id, fault] : failed)
        pg::log_line("could not " + std::string(core::to_string(event)) + " request " + std::to_string(id) + ": " +
                     fault);
}

void end_past_grants() {
    std::vector<std::int64_t> over;
    for (const auto& slot : shared_state->used_slots())
        if (slot.state.load() == SlotState::over) over.push_back(static_cast<std::int64_t>(slot.id.load()));
    finish(over, Event::end, State::active, "deadline reached");
    // What is not on the board (it could not be confirmed) ends by the table.
    const auto by_table =
        query_ids("SELECT id FROM jit_access.request WHERE state IN ('active', 'suspended') AND ends_at <= $1",
                  {pg::Instant{pg::wall_clock()}});
    finish(by_table, Event::end, std::nullopt, "deadline reached");
    if (by_table.empty()) return;
    constexpr std::int64_t a_moment = 1'000'000;
    task::run_or_log("end the sessions of holders that keep ended grants", [] {
        if (const auto ended = blocking_session::end_holders_of_grants_over_by({pg::wall_clock() - a_moment}))
            pg::log_line("ended " + std::to_string(ended) + " sessions of holders that kept their grants from ending");
    });
}

void start_scheduled() {
    // What this server has not confirmed as its own (see confirm.cpp) does not start.
    for (const auto id : query_ids(
             "SELECT id FROM jit_access.request WHERE state = 'scheduled' AND use_by IS NULL AND starts_at <= $1 AND "
             "node = $2::uuid",
             {pg::Instant{pg::wall_clock()}, journal::node()})) {
        bool in_the_way = false;
        const auto fault = run_in_transaction([&] {
            auto request = request::try_lock(id);
            if (!request || request->state != State::scheduled) return;
            try {
                decision::start_scheduled(*request, task::actor);
            } catch (const pg::ServerError& error) {
                in_the_way = pg::sqlstate::is_conflict(error.sqlstate());
                throw;
            }
        });
        // What waits for somebody's open transaction is tried again.
        if (fault && !in_the_way) finish({id}, Event::lapse, State::scheduled, "could not be activated: " + *fault);
    }
}

void lapse_undecided() {
    finish(query_ids("SELECT id FROM jit_access.request WHERE state = 'pending' AND lapses_at <= $1",
                     {pg::Instant{pg::wall_clock()}}),
           Event::lapse, State::pending, "nobody decided in time");
    finish(query_ids("SELECT id FROM jit_access.request WHERE state = 'scheduled' AND use_by <= $1",
                     {pg::Instant{pg::wall_clock()}}),
           Event::lapse, State::scheduled, "the approval was not used in time");
}

bool relies_on(const SessionSlot& session, std::uint64_t id) noexcept {
    const auto count = session.grant_count.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < count; ++i)
        if (session.grants[i].load() == id) return true;
    return false;
}

template <class Visit>
void for_each_session_of(const Slot& slot, Visit&& visit) noexcept {
    for (const auto& session : shared_state->sessions()) {
        const auto pid = session.pid.load(std::memory_order_acquire);
        if (pid != 0 && relies_on(session, slot.id.load())) visit(session, pid);
    }
}

bool has_to_come_out(const SessionSlot& session) noexcept {
    return session.transaction_uses_grant || session.has_held_cursors;
}

// Who keeps a cursor may be idle, and has only to be woken.
std::int64_t patience_with(const SessionSlot& session, const Slot& slot) noexcept {
    constexpr std::int64_t to_wake = 400'000;
    const bool wakes = slot.at_deadline.load() == core::AtDeadline::cancel && !session.transaction_uses_grant;
    return termination_delay(slot) + (wakes ? to_wake : 0);
}

// What may still go on beyond the deadline; until then the role stays.
bool is_in_use(std::int64_t id) noexcept {
    const Slot* slot = find_slot(static_cast<std::uint64_t>(id));
    if (slot == nullptr) return false;
    const auto now = pg::both_clocks();
    bool used = false;
    for_each_session_of(*slot, [&](const SessionSlot& session, std::int32_t) {
        used |= has_to_come_out(session) && !is_past_deadline(*slot, now, patience_with(session, *slot));
    });
    return used;
}

void put_off(std::int64_t id) {
    constexpr std::int64_t a_moment = 500'000;
    pg::execute("UPDATE jit_access.request SET cleanup_next = $2 WHERE id = $1",
                {id, pg::Instant{pg::wall_clock() + a_moment}});
}

void try_again_later(std::int64_t id, const std::string& fault) {
    pg::log_line("could not clean up grant " + std::to_string(id) + ", will be retried: " + fault);
    task::run_or_log("note that", [&] {
        pg::execute(
            "UPDATE jit_access.request SET cleanup_attempts = cleanup_attempts + 1, cleanup_error = $2, cleanup_next = "
            "pg_catalog.clock_timestamp() + least(power(2, least(cleanup_attempts, 20)), 300) * interval '1 second' "
            "WHERE id = $1",
            {id, fault});
    });
}

// The server's caches keep for ever that a role does not exist, and every grant leaves such roles behind.
void keep_caches_small(std::size_t cleaned_up) {
    constexpr std::size_t many = 500;
    static std::size_t since = 0;
    since += cleaned_up;
    if (since < many) return;
    since = 0;
    task::run_or_log("empty the caches", pg::invalidate_system_caches);
}

void clean_up_ended() {
    // Nothing is put off by more than five minutes: what seems to be was, before the clock was set back.
    const auto due = query_ids(
        "SELECT id FROM jit_access.request WHERE cleanup = 'due' AND (cleanup_next IS NULL OR "
        "cleanup_next <= $1 OR cleanup_next > $1 + interval '5 minutes')",
        {pg::Instant{pg::wall_clock()}});
    // Whoever revoked may not have come to tell the board yet.
    for (const auto id : due)
        if (Slot* slot = find_slot(static_cast<std::uint64_t>(id))) finish_slot(*slot);
    auto failed = task::run_for_each(due, cleanup::revoke_grant_memberships);
    // What still runs under it goes before its slot is free: nobody would know afterwards.
    stop_ended_grants();
    std::vector<std::int64_t> idle;
    std::vector<std::int64_t> in_use;
    for (const auto id : due)
        if (!failed.contains(id)) (is_in_use(id) ? in_use : idle).push_back(id);
    failed.merge(task::run_for_each(in_use, put_off));
    failed.merge(task::run_for_each(idle, cleanup::drop_grant_roles));
    for (const auto id : idle)
        if (!failed.contains(id)) retire_slot(static_cast<std::uint64_t>(id));
    for (const auto& [id, fault] : failed) try_again_later(id, fault);
    keep_caches_small(idle.size());
}

// A session that leaves the grant by itself does so at its deadline; that it was revoked it has to be told.
void remind(const SessionSlot& session, std::int32_t pid) noexcept {
    if (has_to_come_out(session)) pg::cancel_statement(pid);
    pg::request_idle_commit(pid);
}

}  // namespace

void stop_ended_grants() noexcept {
    const auto now = pg::both_clocks();
    for (auto& slot : shared_state->used_slots()) {
        if (slot.state.load() == SlotState::live && is_past_deadline(slot, now)) finish_slot(slot);
        if (slot.state.load() != SlotState::over) continue;
        const bool leaves = slot.at_deadline.load() == core::AtDeadline::cancel;
        for_each_session_of(slot, [&](const SessionSlot& session, std::int32_t pid) {
            // The owner clears its entry before it exits, so this is still the same process; but what was left behind
            // all the same may name another one by now.
            const auto number = static_cast<std::uint32_t>(&session - shared_state->sessions().data());
            if (session.pid.load(std::memory_order_acquire) != pid || !pg::is_backend(pid, number)) return;
            if (leaves) remind(session, pid);
            if (leaves && !has_to_come_out(session)) return;
            if (!is_past_deadline(slot, now, patience_with(session, slot))) return;
            if (pg::terminate_session(pid))
                shared_state->counters.sessions_ended.fetch_add(1, std::memory_order_relaxed);
        });
    }
}

std::optional<pg::Instant> process_due() {
    end_past_grants();
    clean_up_ended();
    lapse_undecided();
    start_scheduled();
    std::optional<pg::Instant> next;
    const auto fault = run_in_transaction([&] {
        next = pg::query_row(
                   "SELECT min(CASE state WHEN 'pending' THEN lapses_at WHEN 'scheduled' THEN coalesce(use_by, "
                   "starts_at) END) FROM "
                   "jit_access.request WHERE state IN ('pending', 'scheduled')")
                   .value()
                   .maybe<pg::Instant>(0);
        const auto retry = pg::query_row(
                               "SELECT min(coalesce(cleanup_next, pg_catalog.clock_timestamp())) FROM "
                               "jit_access.request WHERE cleanup = 'due'")
                               .value()
                               .maybe<pg::Instant>(0);
        if (retry && (!next || *retry < *next)) next = retry;
    });
    if (fault) pg::log_line(*fault);
    return next;
}

std::optional<std::int64_t> next_deadline() noexcept {
    std::optional<std::int64_t> first;
    const auto now = pg::both_clocks();
    for (const auto& slot : shared_state->used_slots()) {
        const auto state = slot.state.load();
        if (state != SlotState::live && state != SlotState::over) continue;
        auto left = time_left(slot, now);
        if (state == SlotState::over) left += termination_delay(slot);
        if (state == SlotState::over && left <= 0) continue;  // it was seen to
        first = std::min(first.value_or(now.wall + left), now.wall + left);
    }
    return first;
}

}  // namespace jit::expire
