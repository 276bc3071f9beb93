#include "jit_access/grants/expire.hpp"

#include <algorithm>
#include <map>

#include "jit_access/core/failure.hpp"
#include "jit_access/grants/cleanup.hpp"
#include "jit_access/grants/decision.hpp"
#include "jit_access/grants/revocation.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/record/journal_file.hpp"
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

// Whether a table could not be read or written in this round.
bool are_tables_in_doubt = false;

// ---- ends in the tables ------------------------------------------------------------------------------------------

// Applies a terminal event to each request, if its state allows it. A request whose row another transaction has locked
// is skipped and found again in the next round, so it delays no other.
void close_requests(const std::vector<std::int64_t>& requests, Event event, std::optional<State> only_from,
                    const std::string& reason) {
    const auto failures = task::run_for_each(requests, [&](std::int64_t id) {
        auto request = request::try_lock(id);
        if (!request || (only_from && request->state != *only_from) || !core::next(request->state, event)) return;
        request::advance(*request, event, task::actor, reason);
        commit_actions::finish(static_cast<std::uint64_t>(id));
    });
    for (const auto& [id, fault] : failures)
        pg::log_line("could not " + std::string(core::to_string(event)) + " request " + std::to_string(id) + ": " +
                     fault);
    are_tables_in_doubt |= !failures.empty();
}

// Grants that are still open in the tables although their deadline had passed at `moment`.
std::vector<std::int64_t> grants_over_by(std::int64_t moment) {
    return query_ids(R"sql(
        SELECT id FROM jit_access.request
        WHERE state IN ('active', 'suspended') AND ends_at <= $1
    )sql",
                     {pg::Instant{moment}});
}

void end_expired_grants() {
    std::vector<std::int64_t> over;
    for (const auto& slot : shared_state->used_slots())
        if (slot.state.load() == SlotState::over) over.push_back(static_cast<std::int64_t>(slot.id.load()));
    std::erase_if(over, revocation::is_noted);  // revocation::apply_to_tables() revokes them
    close_requests(over, Event::end, State::active, "deadline reached");
    // These grants have no slot, because they were suspended, or could not be confirmed after a start of the server.
    auto by_table = grants_over_by(pg::wall_clock());
    if (by_table.empty()) return;
    std::erase_if(by_table, revocation::is_noted);
    close_requests(by_table, Event::end, std::nullopt, "deadline reached");
    // If a grant is still open in the tables now, another session holds the lock on its row. No session may keep a
    // grant from ending.
    constexpr std::int64_t tolerance = core::us_per_second;
    for (const auto id : grants_over_by(pg::wall_clock() - tolerance))
        task::run_or_log("end the sessions that keep grant " + std::to_string(id), [id] {
            if (const auto ended = blocking_session::end_holders_of_request(id))
                pg::log_line("ended " + std::to_string(ended) + " sessions that kept grant " + std::to_string(id) +
                             " from ending");
        });
}

void start_scheduled_grants() {
    // Only grants that this node has allowed are started, because a copy of the tables must not start grants (see
    // confirm.hpp).
    const auto due = query_ids(R"sql(
        SELECT id FROM jit_access.request
        WHERE state = 'scheduled' AND use_by IS NULL AND starts_at <= $1 AND node = $2::uuid
    )sql",
                               {pg::Instant{pg::wall_clock()}, journal::node()});
    for (const auto id : due) {
        bool has_conflict = false;
        const auto fault = run_in_transaction([&] {
            auto request = request::try_lock(id);
            if (!request || request->state != State::scheduled) return;
            try {
                decision::start_scheduled(*request, task::actor);
            } catch (const pg::ServerError& error) {
                has_conflict = pg::sqlstate::is_conflict(error.sqlstate());
                throw;
            }
        });
        // After a conflict with an open transaction, the start is tried again. Any other fault is final.
        if (fault && !has_conflict)
            close_requests({id}, Event::lapse, State::scheduled, "could not be activated: " + *fault);
    }
}

void lapse_requests() {
    const auto undecided = query_ids("SELECT id FROM jit_access.request WHERE state = 'pending' AND lapses_at <= $1",
                                     {pg::Instant{pg::wall_clock()}});
    close_requests(undecided, Event::lapse, State::pending, "it was not decided in time");
    const auto unused = query_ids("SELECT id FROM jit_access.request WHERE state = 'scheduled' AND use_by <= $1",
                                  {pg::Instant{pg::wall_clock()}});
    close_requests(unused, Event::lapse, State::scheduled, "the approval was not used in time");
}

// ---- sessions that use a grant -----------------------------------------------------------------------------------

// A session that uses a grant.
struct GrantUser {
    const SessionSlot& session;
    std::int32_t pid;
    bool leaves;  // at the deadline it leaves the grant instead of being terminated
};

template <class Visitor>
void for_each_session_of(const Slot& slot, Visitor&& visit) noexcept {
    const auto id = slot.id.load();
    const bool all_leave = slot.at_deadline.load() == core::AtDeadline::cancel;
    for (const auto& session : shared_state->sessions()) {
        const auto pid = session.pid.load(std::memory_order_acquire);
        if (pid == 0) continue;
        const auto count = session.grant_count.load(std::memory_order_acquire);
        for (std::uint32_t i = 0; i < count; ++i) {
            if (session.grants[i].load() != id) continue;
            visit(GrantUser{session, pid, all_leave || session.borrows[i].load()});
            break;
        }
    }
}

// Returns true if the session has something open that depends on the grant: its transaction, or a cursor that outlives
// the transaction.
bool has_open_use(const SessionSlot& session) noexcept {
    return session.transaction_uses_grant || session.has_held_cursors;
}

// How long after the deadline the session may continue before it is terminated. A session that leaves the grant does so
// by itself. If it has only a cursor open, it may be idle, and then it needs some time to wake up.
std::int64_t termination_delay_of(const GrantUser& user, const Slot& slot) noexcept {
    constexpr std::int64_t wake_up_time = 400'000;
    if (!user.leaves) return termination_delay(slot);
    return time_to_leave + (user.session.transaction_uses_grant ? 0 : wake_up_time);
}

// Returns whether a session still uses the grant after its deadline (in its grace period, or while it is leaving the
// grant). The roles are kept until then.
bool is_in_use(std::int64_t id) noexcept {
    const Slot* slot = find_slot(static_cast<std::uint64_t>(id));
    if (slot == nullptr) return false;
    const auto now = pg::both_clocks();
    bool is_used = false;
    for_each_session_of(*slot, [&](const GrantUser& user) {
        is_used |= has_open_use(user.session) && !is_past_deadline(*slot, now, termination_delay_of(user, *slot));
    });
    return is_used;
}

// Makes a session leave a grant with action `cancel`. At the deadline it does so by its own timer, but it does not
// notice by itself that the grant was revoked.
void make_leave(const SessionSlot& session, std::int32_t pid) noexcept {
    if (has_open_use(session)) pg::cancel_statement(pid);
    pg::request_idle_commit(pid);
}

// ---- clean-up ----------------------------------------------------------------------------------------------------

// Neither update of the schedule needs a row lock of its own, because only the worker writes these columns until the
// clean-up is done, and drop_grant_roles() locks the row.
void postpone(std::int64_t id) {
    constexpr std::int64_t delay = 500'000;
    pg::execute("UPDATE jit_access.request SET cleanup_next = $2 WHERE id = $1",
                {id, pg::Instant{pg::wall_clock() + delay}});
}

// The delay doubles with each attempt, up to five minutes.
void schedule_retry(std::int64_t id, const std::string& fault) {
    pg::log_line("could not clean up grant " + std::to_string(id) + ", will be retried: " + fault);
    task::run_or_log("schedule the retry", [&] {
        pg::execute(R"sql(
            UPDATE jit_access.request
            SET cleanup_attempts = cleanup_attempts + 1,
                cleanup_error = $2,
                cleanup_next = pg_catalog.clock_timestamp()
                               + least(power(2, least(cleanup_attempts, 20)), 300) * interval '1 second'
            WHERE id = $1
        )sql",
                    {id, fault});
    });
}

// The system caches keep a negative entry for every role that was looked up and does not exist, and every grant adds
// such entries. Without this limit, the memory of the worker would grow without bound.
void limit_cache_growth(std::size_t cleaned_up) {
    constexpr std::size_t grants_per_reset = 500;
    static std::size_t since_reset = 0;
    since_reset += cleaned_up;
    if (since_reset < grants_per_reset) return;
    since_reset = 0;
    task::run_or_log("invalidate the system caches", pg::invalidate_system_caches);
}

void clean_up_ended_grants() {
    // A retry is at most five minutes away. If it seems farther, it was scheduled before the clock was set back.
    const auto due = query_ids(R"sql(
        SELECT id FROM jit_access.request
        WHERE cleanup = 'due'
          AND (cleanup_next IS NULL OR cleanup_next <= $1 OR cleanup_next > $1 + interval '5 minutes')
    )sql",
                               {pg::Instant{pg::wall_clock()}});
    // The process that ended the grant marks its slot after its commit. It may have been killed in between.
    for (const auto id : due)
        if (Slot* slot = find_slot(static_cast<std::uint64_t>(id))) finish_slot(*slot);
    auto failures = task::run_for_each(due, cleanup::revoke_grant_memberships);
    // Sessions are stopped again before the slot can be reused, because without the slot a session that still uses the
    // grant would not be found.
    stop_ended_grants();
    std::vector<std::int64_t> idle;
    std::vector<std::int64_t> in_use;
    for (const auto id : due)
        if (!failures.contains(id)) (is_in_use(id) ? in_use : idle).push_back(id);
    failures.merge(task::run_for_each(in_use, postpone));
    // Objects that were handed over keep their new owner, even if others could not be handed over.
    std::map<std::int64_t, std::string> left;
    failures.merge(task::run_for_each(idle, [&](std::int64_t id) { left[id] = cleanup::hand_over_objects(id); }));
    std::erase_if(left, [](const auto& entry) { return entry.second.empty(); });
    failures.merge(left);
    std::erase_if(idle, [&](std::int64_t id) { return failures.contains(id); });
    failures.merge(task::run_for_each(idle, cleanup::drop_grant_roles));
    for (const auto id : idle)
        if (!failures.contains(id)) retire_slot(static_cast<std::uint64_t>(id));
    for (const auto& [id, fault] : failures) schedule_retry(id, fault);
    are_tables_in_doubt |= !failures.empty();
    limit_cache_growth(idle.size());
}

// The next lapse, start or retry of a clean-up, according to the tables.
std::optional<pg::Instant> next_due() {
    std::optional<pg::Instant> next;
    const auto fault = run_in_transaction([&] {
        next = pg::query_row(R"sql(
                   SELECT min(CASE state WHEN 'pending' THEN lapses_at
                                         WHEN 'scheduled' THEN coalesce(use_by, starts_at) END)
                   FROM jit_access.request
                   WHERE state IN ('pending', 'scheduled')
               )sql")
                   .value()
                   .maybe<pg::Instant>(0);
        const auto retry = pg::query_row(R"sql(
                               SELECT min(coalesce(cleanup_next, pg_catalog.clock_timestamp()))
                               FROM jit_access.request
                               WHERE cleanup = 'due'
                           )sql")
                               .value()
                               .maybe<pg::Instant>(0);
        if (retry && (!next || *retry < *next)) next = retry;
    });
    if (fault) pg::log_line(*fault);
    return next;
}

}  // namespace

void stop_ended_grants() noexcept {
    const auto now = pg::both_clocks();
    for (auto& slot : shared_state->used_slots()) {
        if (slot.state.load() == SlotState::live && is_past_deadline(slot, now)) finish_slot(slot);
        if (slot.state.load() != SlotState::over) continue;
        for_each_session_of(slot, [&](const GrantUser& user) {
            const auto& [session, pid, leaves] = user;
            // A backend clears its entry before it exits, so an unchanged pid is still the same process. An entry that
            // was left behind by a crash may name another process by now, which is_backend() excludes.
            const auto number = static_cast<std::uint32_t>(&session - shared_state->sessions().data());
            if (session.pid.load(std::memory_order_acquire) != pid || !pg::is_backend(pid, number)) return;
            if (leaves) make_leave(session, pid);
            if (leaves && !has_open_use(session)) return;
            if (!is_past_deadline(slot, now, termination_delay_of(user, slot))) return;
            if (pg::terminate_session(pid))
                shared_state->counters.sessions_ended.fetch_add(1, std::memory_order_relaxed);
        });
    }
}

// Ends come first, because they free memberships, caps and slots that a start may need.
std::optional<pg::Instant> process_due() {
    const auto faults = task::failure_count();
    are_tables_in_doubt = false;
    const bool revocations_left = revocation::apply_to_tables();
    end_expired_grants();
    clean_up_ended_grants();
    lapse_requests();
    start_scheduled_grants();
    if (revocations_left || are_tables_in_doubt || task::failure_count() != faults) end_sessions_that_lock_tables();
    // A transaction that keeps a row locked may end without a change, and then it does not wake the worker.
    if (revocations_left) return pg::Instant{pg::wall_clock()};
    return next_due();
}

void end_sessions_that_lock_tables() {
    task::run_or_log("end the sessions that lock tables of jit_access", [] {
        if (const auto ended = blocking_session::end_holders_of_tables())
            pg::log_line("ended " + std::to_string(ended) + " sessions that had locked tables of jit_access");
    });
}

std::optional<std::int64_t> next_deadline() noexcept {
    std::optional<std::int64_t> first;
    const auto now = pg::both_clocks();
    for (const auto& slot : shared_state->used_slots()) {
        const auto state = slot.state.load();
        if (state != SlotState::live && state != SlotState::over) continue;
        auto left = time_left(slot, now);
        if (state == SlotState::over) left += termination_delay(slot);
        if (state == SlotState::over && left <= 0) continue;  // its sessions were terminated already
        first = std::min(first.value_or(now.wall + left), now.wall + left);
    }
    return first;
}

}  // namespace jit::expire
