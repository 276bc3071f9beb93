#include "jit_access/reports/status.hpp"

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/record/journal_file.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::status {

namespace {

pg::Value number(std::uint64_t value) { return static_cast<std::int64_t>(value); }

// The time of the oldest record in the journal that the worker has not ingested. The record may be overwritten or
// incomplete while it is read; the result is then NULL.
pg::Value oldest_unread() noexcept {
    const auto& ring = journal::ring();
    const auto record = ring.read(ring.tail());
    return record && record->at != 0 ? pg::Value(pg::Instant{record->at}) : pg::Value();
}

}  // namespace

std::array<pg::Value, 15> status() {
    std::uint64_t live_slots = 0;
    std::uint64_t over_slots = 0;
    for (const auto& slot : shared_state->used_slots()) {
        live_slots += slot.state.load() == SlotState::live ? 1 : 0;
        over_slots += slot.state.load() == SlotState::over ? 1 : 0;
    }
    const auto& counters = shared_state->counters;
    const bool has_journal = journal::available();
    const auto pid = shared_state->worker_pid.load();
    return {pid != 0 && pg::process_exists(pid) ? pg::Value(pid) : pg::Value(),
            number(counters.worker_loops.load()),
            number(live_slots),
            number(over_slots),
            static_cast<std::int32_t>(shared_state->slot_count),
            has_journal ? pg::Value(journal::node()) : pg::Value(),
            has_journal ? number(journal::ring().capacity()) : pg::Value(),
            has_journal ? number(journal::ring().head() - journal::ring().tail()) : pg::Value(),
            has_journal ? oldest_unread() : pg::Value(),
            has_journal ? number(journal::ring().head()) : pg::Value(),
            number(counters.journal_waits.load()),
            number(counters.journal_refusals.load()),
            number(shared_state->syncs.completed.load()),
            number(counters.late_refusals.load()),
            number(counters.sessions_ended.load())};
}

bool is_confirmed(std::int64_t id) noexcept {
    const Slot* slot = find_slot(static_cast<std::uint64_t>(id));
    return slot != nullptr && is_live(*slot, pg::both_clocks());
}

}  // namespace jit::status
