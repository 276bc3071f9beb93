#include "jit_access/enforcement/session.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/recorder.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/invalidation.hpp"

namespace jit::session {

namespace {

using core::AtDeadline;
using core::Code;
using core::Failure;

struct Held {
    std::uint64_t id = 0;
    Slot* slot = nullptr;
    AtDeadline at_deadline = AtDeadline::terminate;  // as it was; the slot knows better until it is reused
};

// Read by the signal handler: an entry is complete before it counts.
std::array<Held, core::max_session_grants> held;
std::atomic<std::uint32_t> held_count = 0;

SessionSlot* mine = nullptr;  // from the first use of a grant until the session ends

std::atomic<bool> transaction_relies = false;
std::atomic<bool> has_held_cursors = false;  // since a transaction that relied
std::int64_t relied_at = 0;                  // when the client's command began that relied last
pg::Moment armed_for;
std::atomic<bool> settling = false;  // this transaction settles the debts if it commits

// A session that is to leave a grant has so many ticks to come out of its transaction. They are counted when they
// arrive: a process that was not running has not wasted them.
constexpr std::int64_t tick_us = 13'000;
constexpr int ticks_to_leave = 3;
// What cannot be done at once is looked at again.
constexpr std::int64_t reminder_us = 1'000'000;
int ticks = 0;

bool is_mine(const Held& grant) noexcept { return grant.slot->id.load(std::memory_order_relaxed) == grant.id; }

bool is_over(const Held& grant, pg::Moment at) noexcept { return !is_live(*grant.slot, at) || !is_mine(grant); }

AtDeadline action(const Held& grant) noexcept {
    return is_mine(grant) ? grant.slot->at_deadline.load() : grant.at_deadline;
}

// Whether what the client asked for relies on a grant: its transaction does, or the command did, which has committed
// and goes on (a procedure).
bool is_busy() noexcept { return transaction_relies || (pg::is_running_command() && pg::command_start() == relied_at); }

// A cursor that is held shows what was read under the grant without a statement that could be refused, so whoever keeps
// one has to come out of any transaction.
bool has_to_come_out() noexcept {
    return is_busy() || (has_held_cursors && !settling && (pg::is_running_command() || pg::in_transaction()));
}

bool must_end(const Held& grant, pg::Moment at) noexcept {
    switch (action(grant)) {
        case AtDeadline::terminate: return true;
        case AtDeadline::grace:
            return !is_busy() || has_held_cursors || !is_mine(grant) ||
                   is_past_deadline(*grant.slot, at, grant.slot->grace.load());
        case AtDeadline::cancel: return has_to_come_out() && ticks >= ticks_to_leave;
    }
    return true;
}

std::int64_t until_next_look(const Held& grant, pg::Moment at) noexcept {
    const auto left = time_left(*grant.slot, at);
    if (!is_over(grant, at)) return left;
    switch (action(grant)) {
        case AtDeadline::terminate: return 0;
        case AtDeadline::grace: return std::min(left + grant.slot->grace.load(), reminder_us);
        case AtDeadline::cancel: return has_to_come_out() ? tick_us : reminder_us;
    }
    return 0;
}

void arm() noexcept {
    const auto now = pg::both_clocks();
    auto left = std::numeric_limits<std::int64_t>::max();
    for (std::uint32_t i = 0; i < held_count; ++i) left = std::min(left, until_next_look(held[i], now));
    if (held_count != 0) pg::arm_real_timer(left);
}

void leave_what_is_over() noexcept {
    enforcement::look_again();
    if (!has_to_come_out()) {
        ticks = 0;
        pg::request_idle_commit();
        return;
    }
    ++ticks;
    pg::cancel_statement(pg::backend_pid());
}

// Signal handler: only atomics, kill(), latches and the timer.
void at_deadline() noexcept {
    if (mine == nullptr) return;
    const auto now = pg::both_clocks();
    bool leave = false;
    for (std::uint32_t i = 0; i < held_count; ++i) {
        if (!is_over(held[i], now)) continue;
        if (must_end(held[i], now)) {
            pg::terminate_session(pg::backend_pid());
            return;
        }
        leave |= action(held[i]) == AtDeadline::cancel;
    }
    if (leave) leave_what_is_over();
    arm();  // also when it was extended meanwhile
}

pg::Moment first_end() noexcept {
    constexpr auto never = std::numeric_limits<std::int64_t>::max();
    pg::Moment first{.wall = never, .boot = never};
    for (std::uint32_t i = 0; i < held_count; ++i) {
        first.wall = std::min(first.wall, held[i].slot->ends_wall.load(std::memory_order_relaxed));
        first.boot = std::min(first.boot, held[i].slot->ends_boot.load(std::memory_order_relaxed));
    }
    return first;
}

void arm_for(pg::Moment end) noexcept {
    armed_for = end;
    arm();
    pg::arm_wall_timer(end.wall);
}

bool is_held(std::uint64_t id) noexcept {
    const auto end = held.begin() + held_count.load(std::memory_order_relaxed);
    return std::any_of(held.begin(), end, [id](const Held& grant) { return grant.id == id; });
}

void note(Slot* slot, std::uint64_t id) noexcept {
    if (is_held(id)) return;
    const auto count = held_count.load();
    held[count] = {id, slot, slot->at_deadline.load()};
    held_count = count + 1;
    mine->grants[count].store(id);
    mine->grant_count.store(count + 1, std::memory_order_release);
}

// Others must not take the last for gone while it moves: it is put in its new place first. The timer looks at none of
// them meanwhile, and is armed again.
void forget(std::uint32_t i) noexcept {
    const auto last = held_count.exchange(i) - 1;
    held[i] = held[last];
    mine->grants[i].store(held[i].id);
    held_count = last;
    mine->grant_count.store(last, std::memory_order_release);
    armed_for = {};
    if (last != 0) arm_for(first_end());
}

void end() noexcept {
    recorder::interrupt_all();
    SessionSlot* const gone = std::exchange(mine, nullptr);  // before the timer could fire into what is torn down
    pg::disarm_deadline_timers();
    if (gone != nullptr) gone->pid.store(0);
}

void begin() {
    if (!pg::make_deadline_timers(at_deadline))
        throw Failure(Code::limit_exceeded, "this session could not be stopped at the deadline",
                      "The system has no timer left for it.", "See the limit of pending signals (ulimit -i).");
    pg::on_session_end(end);
    mine = &shared_state->sessions()[pg::backend_number()];
    mine->grant_count.store(0);
    mine->transaction_uses_grant.store(false);
    mine->has_held_cursors.store(false);
    mine->start.store(pg::session_start());
    mine->pid.store(pg::backend_pid());
}

// What the session relies on and has to leave.
template <class Visit>
void for_each_left(Visit&& visit) noexcept {
    const auto now = pg::both_clocks();
    for (std::uint32_t i = held_count; i-- > 0;)
        if (is_over(held[i], now) && action(held[i]) == AtDeadline::cancel) visit(i);
}

void note_cursors(bool kept) noexcept {
    if (has_held_cursors.exchange(kept) != kept) mine->has_held_cursors.store(kept);
}

void settle() {
    for_each_left([](std::uint32_t) { settling = true; });
    if (!settling) return;
    try {
        pg::discard_session_state();
    } catch (...) {
        pg::terminate_session(pg::backend_pid());
        throw;
    }
}

void check_commit() {
    const auto now = pg::both_clocks();
    for (std::uint32_t i = 0; i < held_count; ++i) {
        if (!is_over(held[i], now)) continue;
        if (action(held[i]) == AtDeadline::grace && !must_end(held[i], now)) continue;
        throw Failure(Code::grant_over, "grant " + std::to_string(held[i].id) + " has ended",
                      "What this transaction did under the grant cannot be committed after its end.",
                      "Ask again with jit_request if you still need it.");
    }
}

}  // namespace

bool has_room_for(const enforcement::EffectiveGrants& grants) noexcept {
    const auto end = grants.ids.begin() + grants.count;
    const auto more = std::count_if(grants.ids.begin(), end, [](std::uint64_t id) { return !is_held(id); });
    return held_count + static_cast<std::size_t>(more) <= held.size();
}

bool relies_on(std::uint64_t id) noexcept { return is_held(id); }

bool relies_on_exactly(const enforcement::EffectiveGrants& grants) noexcept {
    if (held_count.load(std::memory_order_relaxed) != grants.count) return false;
    for (std::uint32_t i = 0; i < grants.count; ++i)
        if (held[i].id != grants.ids[i] || held[i].slot != grants.slots[i]) return false;
    return true;
}

void rely_on(const enforcement::EffectiveGrants& grants) {
    if (mine == nullptr) begin();
    if (!relies_on_exactly(grants))
        for (std::uint32_t i = 0; i < grants.count; ++i) note(grants.slots[i], grants.ids[i]);
    if (!transaction_relies.load(std::memory_order_relaxed)) {
        transaction_relies = true;
        mine->transaction_uses_grant.store(true);
    }
    relied_at = pg::command_start();
    ticks = 0;
    if (const auto end = first_end(); end != armed_for) arm_for(end);
}

void close_uses_at_end() {
    if (mine == nullptr) begin();
}

std::uint64_t debt(pg::Moment at) noexcept {
    for (std::uint32_t i = 0; i < held_count.load(std::memory_order_relaxed); ++i)
        if (is_over(held[i], at)) return held[i].id;
    return 0;
}

std::uint64_t debt() noexcept { return held_count == 0 ? 0 : debt(pg::both_clocks()); }

void settle_soon() noexcept {
    if (debt() != 0) pg::request_idle_commit();
}

void give_back(std::uint64_t id) noexcept {
    if (mine == nullptr || pg::outer_user() != pg::session_user() || pg::has_held_cursors()) return;
    for (std::uint32_t i = held_count; i-- > 0;)
        if (held[i].id == id) forget(i);
}

void before_commit() {
    // A session that ends takes away its temporary tables in a transaction of its own, when it has left the board.
    if (mine == nullptr || held_count == 0) return;
    if (!transaction_relies) {
        if (pg::is_between_commands()) settle();
        if (has_held_cursors) note_cursors(pg::has_held_cursors());
        return;
    }
    if (pg::has_written()) check_commit();
    note_cursors(pg::has_held_cursors());
}

void before_prepare() {
    if (!transaction_relies) return;
    throw Failure(Code::guarded, "a transaction that used a grant cannot be prepared",
                  "It could be committed after the grant's end.", "Use COMMIT.");
}

void after_transaction(bool committed) noexcept {
    // A session without a grant; or one that ends, and aborts its transaction when it has left the board.
    if (mine == nullptr) return;
    if (settling) {
        settling = false;
        if (committed) for_each_left(forget);
    }
    if (transaction_relies) {
        transaction_relies = false;
        mine->transaction_uses_grant.store(false);
    }
    if (!committed) settle_soon();
}

}  // namespace jit::session
