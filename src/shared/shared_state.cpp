#include "jit_access/shared/shared_state.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"

namespace jit {

SharedState* shared_state = nullptr;

namespace {

// Returns false if the slot is in use, or another process has just taken it.
bool try_take(Slot& slot) noexcept {
    for (auto expected : {SlotState::free, SlotState::retired})
        if (slot.state.compare_exchange_strong(expected, SlotState::reserved)) return true;
    return false;
}

void raise_to(std::atomic<std::uint32_t>& high_water_mark, std::uint32_t value) noexcept {
    auto current = high_water_mark.load();
    while (current < value && !high_water_mark.compare_exchange_weak(current, value)) {
    }
}

}  // namespace

SessionSlot& own_session() noexcept { return shared_state->sessions()[pg::backend_number()]; }

const SessionSlot* leader_session() noexcept {
    if (!pg::is_parallel_worker()) return nullptr;
    const auto& leader = shared_state->sessions()[pg::leader_number()];
    const auto pid = pg::leader_pid();
    if (pid == pg::backend_pid() || (leader.pid.load() != pid && leader.client_pid.load() != pid)) return nullptr;
    return &leader;
}

Slot* find_slot(std::uint64_t id) noexcept {
    for (auto& slot : shared_state->used_slots()) {
        const auto state = slot.state.load(std::memory_order_acquire);
        if (slot.id.load(std::memory_order_relaxed) == id && state != SlotState::free && state != SlotState::retired)
            return &slot;
    }
    return nullptr;
}

void set_deadline(Slot& slot, pg::Moment end) noexcept {
    slot.ends_wall.store(end.wall);
    slot.ends_boot.store(end.boot);
}

void extend_deadline(Slot& slot, pg::Moment end) noexcept {
    const auto now = pg::both_clocks();
    if (!is_live(slot, now)) return;
    set_deadline(slot, end);
    if (slot.state.load() != SlotState::live) set_deadline(slot, now);
}

// `state` is stored separately, by publish_slot(): a reader ignores the slot until then.
void fill_slot(Slot& slot, const GrantTerms& terms) noexcept {
    slot.id.store(terms.id);
    slot.role.store(terms.role);
    slot.requester.store(terms.requester);
    set_deadline(slot, terms.ends);
    slot.at_deadline.store(terms.at_deadline);
    slot.grace.store(terms.grace);
    slot.revoked_by.store(0);
    slot.allows_code.store(terms.allows_code);
    slot.allows_schema_change.store(terms.allows_schema_change);
    slot.steps_up.store(terms.steps_up);
    slot.conditions.store(terms.conditions);
}

Slot* reserve_slot(const GrantTerms& terms) {
    const auto slots = shared_state->slots();
    // The cursor visits the slots in turn, so a retired slot is reused as late as possible.
    for (std::uint32_t attempt = 0; attempt < shared_state->slot_count; ++attempt) {
        const auto index = shared_state->slot_cursor.fetch_add(1) % shared_state->slot_count;
        Slot& slot = slots[index];
        if (!try_take(slot)) continue;
        fill_slot(slot, terms);
        raise_to(shared_state->slots_in_use, index + 1);
        return &slot;
    }
    throw core::Failure(
        core::Code::limit_exceeded, "too many grants are live",
        "All " + std::to_string(shared_state->slot_count) + " slots of jit_access.max_grants are taken.",
        "Wait for grants to end, or raise jit_access.max_grants and restart the server.");
}

void publish_slot(Slot& slot) noexcept { slot.state.store(SlotState::live, std::memory_order_release); }

// The id is cleared first, so that find_slot() cannot return a slot that is about to be reserved for another grant.
void free_slot(Slot& slot) noexcept {
    slot.id.store(0);
    slot.state.store(SlotState::free, std::memory_order_release);
}

void finish_slot(Slot& slot) noexcept {
    const auto now = pg::both_clocks();
    // If the grant ends before its deadline, the deadline is set to the current time, because sessions check the
    // deadline. The grace period then does not apply.
    const bool is_before_deadline = is_live(slot, now);
    if (is_before_deadline) {
        set_deadline(slot, now);
        slot.grace.store(0);
    }
    // A plain store would be wrong, because the worker may have retired the slot already, and another grant may have
    // reserved it.
    auto expected = SlotState::live;
    // The deadline is set once more after the state, because extend_deadline() may have moved the deadline in between.
    if (slot.state.compare_exchange_strong(expected, SlotState::over) && is_before_deadline) set_deadline(slot, now);
}

void retire_slot(std::uint64_t id) noexcept {
    if (Slot* slot = find_slot(id)) slot->state.store(SlotState::retired, std::memory_order_release);
}

std::int64_t termination_delay(const Slot& slot) noexcept {
    switch (slot.at_deadline.load()) {
        case core::AtDeadline::grace: return slot.grace.load();
        case core::AtDeadline::cancel: return time_to_leave;
        case core::AtDeadline::terminate: return 0;
    }
    return 0;
}

void wake_worker() noexcept { pg::set_latch(shared_state->worker_latch.load()); }

}  // namespace jit
