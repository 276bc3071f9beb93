#include "jit_access/enforcement/session.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/recorder.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/invalidation.hpp"
#include "jit_access/pg/signals.hpp"

namespace jit::session {

namespace {

using core::AtDeadline;
using core::Code;
using core::Failure;

struct BoundGrant {
    std::uint64_t id = 0;
    Slot* slot = nullptr;
    AtDeadline at_deadline = AtDeadline::terminate;  // at binding; used once the slot has been reused
    bool borrowed = false;                           // see EffectiveGrants
};

// Read by the signal handler. An entry is complete before bound_count includes it.
std::array<BoundGrant, core::max_session_grants> bound_grants;
std::atomic<std::uint32_t> bound_count = 0;

SessionSlot* session_slot = nullptr;  // null before the first use of a grant and after on_session_exit()

std::atomic<bool> transaction_bound = false;  // the open transaction has run a statement under a grant
std::atomic<bool> has_held_cursors = false;   // WITH HOLD, left by such a transaction
std::int64_t bound_command_start = 0;         // start of the last command that ran a statement under a grant
pg::Moment armed_for;
std::atomic<bool> releasing = false;  // this transaction releases the ended grants if it commits

// With the action `cancel` a session has max_ticks ticks of the timer to leave its transaction. Ticks are counted when
// they arrive, so a process that was stopped or got no CPU time does not lose them.
constexpr std::int64_t tick_us = 13'000;
constexpr int max_ticks = 3;
// If a due action cannot be taken yet, the timer fires again after this time.
constexpr std::int64_t recheck_us = 1'000'000;
int ticks = 0;

// Returns false if the slot has been reused for another grant.
bool owns_slot(const BoundGrant& grant) noexcept { return grant.slot->id.load(std::memory_order_relaxed) == grant.id; }

bool is_over(const BoundGrant& grant, pg::Moment at) noexcept { return !is_live(*grant.slot, at) || !owns_slot(grant); }

// The template's action applies to the holder. A session that borrows the grant only has to stop using it.
AtDeadline deadline_action(const BoundGrant& grant) noexcept {
    if (grant.borrowed) return AtDeadline::cancel;
    return owns_slot(grant) ? grant.slot->at_deadline.load() : grant.at_deadline;
}

// Whether work under a grant is in progress: in the open transaction, or in a command (a procedure) that has committed
// and continues.
bool is_busy() noexcept {
    return transaction_bound || (pg::is_running_command() && pg::command_start() == bound_command_start);
}

// A cursor WITH HOLD returns rows that were read under the grant, and fetching from it starts no query that could be
// refused. A session with such a cursor must therefore leave its transaction, even if the transaction has run nothing
// under the grant.
bool must_leave_transaction() noexcept {
    return is_busy() || (has_held_cursors && !releasing && (pg::is_running_command() || pg::in_transaction()));
}

// Whether the session has to be terminated now for an ended grant.
bool must_terminate(const BoundGrant& grant, pg::Moment at) noexcept {
    switch (deadline_action(grant)) {
        case AtDeadline::terminate: return true;
        case AtDeadline::grace:
            return !is_busy() || has_held_cursors || !owns_slot(grant) ||
                   is_past_deadline(*grant.slot, at, grant.slot->grace.load());
        case AtDeadline::cancel: return must_leave_transaction() && ticks >= max_ticks;
    }
    return true;
}

// Returns the microseconds until the timer has to fire for this grant: at its deadline, and then as often as the
// grant's action requires.
std::int64_t time_to_next_check(const BoundGrant& grant, pg::Moment at) noexcept {
    const auto left = time_left(*grant.slot, at);
    if (!is_over(grant, at)) return left;
    switch (deadline_action(grant)) {
        case AtDeadline::terminate: return 0;
        case AtDeadline::grace: return std::min(left + grant.slot->grace.load(), recheck_us);
        case AtDeadline::cancel: return must_leave_transaction() ? tick_us : recheck_us;
    }
    return 0;
}

void arm_real_timer() noexcept {
    const auto now = pg::both_clocks();
    auto left = std::numeric_limits<std::int64_t>::max();
    for (std::uint32_t i = 0; i < bound_count; ++i) left = std::min(left, time_to_next_check(bound_grants[i], now));
    if (bound_count != 0) pg::arm_real_timer(left);
}

// Outside of a transaction, the session releases its grants when it next waits for the client. Inside a transaction,
// its statement is cancelled at each tick.
void leave_ended_grants() noexcept {
    enforcement::invalidate_from_signal();
    if (!must_leave_transaction()) {
        ticks = 0;
        pg::request_idle_commit();
        return;
    }
    ++ticks;
    pg::cancel_own_statement();
}

// Runs in a signal handler: only atomics, latches, timers and flags of the server.
void on_deadline_timer() noexcept {
    if (session_slot == nullptr) return;
    const auto now = pg::both_clocks();
    bool must_leave = false;
    for (std::uint32_t i = 0; i < bound_count; ++i) {
        if (!is_over(bound_grants[i], now)) continue;
        if (must_terminate(bound_grants[i], now)) {
            pg::terminate_self();
            return;
        }
        must_leave |= deadline_action(bound_grants[i]) == AtDeadline::cancel;
    }
    if (must_leave) leave_ended_grants();
    arm_real_timer();  // a deadline may have been extended since
}

pg::Moment earliest_deadline() noexcept {
    constexpr auto never = std::numeric_limits<std::int64_t>::max();
    pg::Moment first{.wall = never, .boot = never};
    for (std::uint32_t i = 0; i < bound_count; ++i) {
        first.wall = std::min(first.wall, bound_grants[i].slot->ends_wall.load(std::memory_order_relaxed));
        first.boot = std::min(first.boot, bound_grants[i].slot->ends_boot.load(std::memory_order_relaxed));
    }
    return first;
}

// The real-time timer follows the boot clock and keeps the deadline if the wall clock is set back; the wall timer fires
// if the wall clock is set forward.
void arm_for(pg::Moment end) noexcept {
    armed_for = end;
    arm_real_timer();
    pg::arm_wall_timer(end.wall);
}

// Code that may have changed the signal handlers of the process, see foreign_code_runs().
std::uint32_t foreign_depth = 0;
bool foreign_code_ran = false;

// A timer signal that arrived while the handlers were changed is lost, so the deadlines are checked now.
void check_signal_handlers() noexcept {
    foreign_code_ran = false;
    const bool restored = pg::restore_signal_handlers();
    if (!pg::restore_deadline_signal() && !restored) return;
    arm_for(earliest_deadline());
    on_deadline_timer();
}

bool is_bound(std::uint64_t id) noexcept {
    const auto end = bound_grants.begin() + bound_count.load(std::memory_order_relaxed);
    return std::any_of(bound_grants.begin(), end, [id](const BoundGrant& grant) { return grant.id == id; });
}

// In a parallel worker: the grants to which its leader is bound. Other processes have no leader.
std::span<const std::atomic<std::uint64_t>> grants_of_leader() noexcept {
    const SessionSlot* leader = leader_session();
    if (leader == nullptr || leader->pid.load() != pg::leader_pid()) return {};
    return {leader->grants, leader->grant_count.load(std::memory_order_acquire)};
}

bool is_leader_bound(std::uint64_t id) noexcept {
    const auto grants = grants_of_leader();
    return std::any_of(grants.begin(), grants.end(), [id](const auto& grant) { return grant.load() == id; });
}

std::uint64_t ended_grant_of_leader(pg::Moment at) noexcept {
    for (const auto& grant : grants_of_leader()) {
        const auto id = grant.load();
        const Slot* slot = find_slot(id);
        if (slot == nullptr || !is_live(*slot, at)) return id;
    }
    return 0;
}

void set_borrowed(std::uint32_t i, bool borrowed) noexcept {
    bound_grants[i].borrowed = borrowed;
    session_slot->borrows[i].store(borrowed);
}

// A grant that the session has borrowed before and now uses as its holder is no longer borrowed.
void add_bound_grant(Slot* slot, std::uint64_t id, bool borrowed) noexcept {
    for (std::uint32_t i = 0; i < bound_count; ++i) {
        if (bound_grants[i].id != id) continue;
        if (!borrowed) set_borrowed(i, false);
        return;
    }
    const auto count = bound_count.load();
    bound_grants[count] = {id, slot, slot->at_deadline.load(), borrowed};
    bound_count = count + 1;
    session_slot->borrows[count].store(borrowed);
    session_slot->grants[count].store(id);
    session_slot->grant_count.store(count + 1, std::memory_order_release);
}

// Moves the last entry into the freed place. In shared memory the entry is stored in its new place before the count
// shrinks, so that other processes never see a session without it. During the move bound_count is lower, so that the
// timer does not read the moved entry. The timer is armed again afterwards for that entry.
void remove_bound_grant(std::uint32_t i) noexcept {
    const auto last = bound_count.exchange(i) - 1;
    bound_grants[i] = bound_grants[last];
    session_slot->borrows[i].store(bound_grants[i].borrowed);
    session_slot->grants[i].store(bound_grants[i].id);
    bound_count = last;
    session_slot->grant_count.store(last, std::memory_order_release);
    armed_for = {};
    if (last != 0) arm_for(earliest_deadline());
}

void on_session_exit() noexcept {
    recorder::interrupt_all();
    // The pointer is reset first, because the timer may fire until it is disarmed, and does nothing without a slot.
    SessionSlot* const slot = std::exchange(session_slot, nullptr);
    pg::disarm_deadline_timers();
    if (slot != nullptr) slot->pid.store(0);
}

// Claims this process's slot in shared memory, at the first use of a grant. The pid is stored last, because the worker
// ends only sessions whose entry is complete.
void register_session() {
    if (!pg::make_deadline_timers(on_deadline_timer))
        throw Failure(Code::limit_exceeded, "this session could not be stopped at the deadline",
                      "The system has no timer left for it.", "See the limit of pending signals (ulimit -i).");
    pg::on_session_end(on_session_exit);
    session_slot = &shared_state->sessions()[pg::backend_number()];
    session_slot->grant_count.store(0);
    session_slot->runs_use.store(false);
    session_slot->transaction_uses_grant.store(false);
    session_slot->has_held_cursors.store(false);
    session_slot->start.store(pg::session_start());
    session_slot->pid.store(pg::backend_pid());
}

// Visits the indexes of ended grants that the session has to leave, from the last to the first, so that the visitor may
// remove them.
template <class Visit>
void for_each_grant_to_leave(Visit&& visit) noexcept {
    const auto now = pg::both_clocks();
    for (std::uint32_t i = bound_count; i-- > 0;)
        if (is_over(bound_grants[i], now) && deadline_action(bound_grants[i]) == AtDeadline::cancel) visit(i);
}

void publish_kept_cursors(bool kept) noexcept {
    if (has_held_cursors.exchange(kept) != kept) session_slot->has_held_cursors.store(kept);
}

// Runs in the empty transaction between two commands, in its pre-commit callback, where the server still accepts
// catalog changes. If the session state cannot be dropped, the session ends. A session that has only borrowed the
// grants keeps its role and its temporary tables, which do not come from the grants.
void release_ended_grants() {
    bool leaves_own = false;
    for_each_grant_to_leave([&](std::uint32_t i) {
        releasing = true;
        leaves_own |= !bound_grants[i].borrowed;
    });
    if (!releasing) return;
    try {
        if (leaves_own)
            pg::discard_session_state();
        else
            pg::close_cursors();
    } catch (...) {
        pg::terminate_self();
        throw;
    }
}

void give_back_borrowed_grants() noexcept {
    for (std::uint32_t i = bound_count; i-- > 0;)
        if (bound_grants[i].borrowed) remove_bound_grant(i);
}

// A transaction that wrote under a grant may not commit after the end of the grant, unless it is still within the
// grant's grace interval.
void check_commit() {
    const auto now = pg::both_clocks();
    for (std::uint32_t i = 0; i < bound_count; ++i) {
        if (!is_over(bound_grants[i], now)) continue;
        if (deadline_action(bound_grants[i]) == AtDeadline::grace && !must_terminate(bound_grants[i], now)) continue;
        throw Failure(Code::grant_over, "grant " + std::to_string(bound_grants[i].id) + " has ended",
                      "A transaction that has written under a grant cannot commit after the end of the grant.",
                      "Ask again with jit_request if you still need it.");
    }
}

}  // namespace

bool has_room_for(const enforcement::EffectiveGrants& grants) noexcept {
    const auto end = grants.ids.begin() + grants.count;
    const auto more = std::count_if(grants.ids.begin(), end, [](std::uint64_t id) { return !is_bound(id); });
    return bound_count + static_cast<std::size_t>(more) <= bound_grants.size();
}

bool is_bound_to(std::uint64_t id) noexcept { return is_bound(id) || is_leader_bound(id); }

bool is_bound_exactly_to(const enforcement::EffectiveGrants& grants) noexcept {
    if (bound_count.load(std::memory_order_relaxed) != grants.count) return false;
    for (std::uint32_t i = 0; i < grants.count; ++i)
        if (bound_grants[i].id != grants.ids[i] || bound_grants[i].slot != grants.slots[i] ||
            bound_grants[i].borrowed != grants.borrowed[i])
            return false;
    return true;
}

bool is_inside_use_of(const enforcement::EffectiveGrants& grants) noexcept {
    if (recorder::is_inside_use_of(grants)) return true;
    const SessionSlot* leader = leader_session();
    return leader != nullptr && leader->runs_use.load(std::memory_order_relaxed) && grants.can_be_used() &&
           std::all_of(grants.ids.begin(), grants.ids.begin() + grants.count, is_leader_bound);
}

void bind_to(const enforcement::EffectiveGrants& grants) {
    if (session_slot == nullptr) register_session();
    if (!is_bound_exactly_to(grants))
        for (std::uint32_t i = 0; i < grants.count; ++i)
            add_bound_grant(grants.slots[i], grants.ids[i], grants.borrowed[i]);
    if (!transaction_bound.load(std::memory_order_relaxed)) {
        transaction_bound = true;
        session_slot->transaction_uses_grant.store(true);
    }
    bound_command_start = pg::command_start();
    ticks = 0;
    if (foreign_code_ran || foreign_depth != 0) check_signal_handlers();
    if (const auto end = earliest_deadline(); end != armed_for) arm_for(end);
}

void foreign_code_runs() noexcept { ++foreign_depth; }

void foreign_code_ends() noexcept {
    --foreign_depth;
    foreign_code_ran = true;
    if (session_slot != nullptr && bound_count != 0) check_signal_handlers();
}

void close_uses_at_exit() {
    if (session_slot == nullptr) register_session();
}

std::uint64_t ended_grant(pg::Moment at) noexcept {
    for (std::uint32_t i = 0; i < bound_count.load(std::memory_order_relaxed); ++i)
        if (is_over(bound_grants[i], at)) return bound_grants[i].id;
    return ended_grant_of_leader(at);
}

std::uint64_t ended_grant() noexcept {
    return bound_count == 0 && !pg::is_parallel_worker() ? 0 : ended_grant(pg::both_clocks());
}

void schedule_release() noexcept {
    if (ended_grant() != 0) pg::request_idle_commit();
}

void release_grant(std::uint64_t id) noexcept {
    if (session_slot == nullptr || pg::outer_user() != pg::session_user() || pg::has_held_cursors()) return;
    for (std::uint32_t i = bound_count; i-- > 0;)
        if (bound_grants[i].id == id) remove_bound_grant(i);
}

void before_commit() {
    // The session slot is null in a session without a grant, and in an exiting session that drops its temporary tables
    // in a last transaction.
    if (session_slot == nullptr || bound_count == 0) return;
    if (!transaction_bound) {
        if (pg::is_between_commands()) release_ended_grants();
        if (has_held_cursors) publish_kept_cursors(pg::has_held_cursors());
        return;
    }
    if (pg::has_written()) check_commit();
    publish_kept_cursors(pg::has_held_cursors());
}

void before_prepare() {
    if (!transaction_bound) return;
    throw Failure(Code::guarded, "a transaction that used a grant cannot be prepared",
                  "It could be committed after the grant's end.", "Use COMMIT.");
}

void after_transaction(bool committed) noexcept {
    // The session slot is null in a session without a grant, and in an exiting session that aborts its transaction.
    if (session_slot == nullptr) return;
    if (releasing) {
        releasing = false;
        if (committed) for_each_grant_to_leave(remove_bound_grant);
    }
    if (transaction_bound) {
        transaction_bound = false;
        session_slot->transaction_uses_grant.store(false);
        if (!has_held_cursors) give_back_borrowed_grants();
    }
    if (!committed) schedule_release();
}

}  // namespace jit::session
