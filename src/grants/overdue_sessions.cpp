#include "jit_access/grants/overdue_sessions.hpp"

#include <algorithm>
#include <set>
#include <tuple>
#include <vector>

#include "jit_access/core/duration.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/sql.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::overdue_sessions {

namespace {

using Key = std::tuple<std::int32_t, std::int64_t, std::uint64_t>;  // pid, start of the session, grant

constexpr std::int64_t tolerance = core::us_per_second;
// A session that only has to give the grant back may be idle and needs some time to wake up.
constexpr std::int64_t time_to_give_back = 5 * time_to_leave;

// Returns the slot of an ended grant, even if its roles are already dropped. Returns null if the grant is live, or if
// another grant has its slot by now. In the last case `exists` is left unchanged, otherwise it is set.
const Slot* find_ended_slot(std::uint64_t id, bool& exists) noexcept {
    for (const auto& slot : shared_state->used_slots()) {
        if (slot.id.load() != id) continue;
        exists = true;
        const auto state = slot.state.load(std::memory_order_acquire);
        return state == SlotState::over || state == SlotState::retired ? &slot : nullptr;
    }
    return nullptr;
}

std::int64_t allowed_time(const Slot& slot, bool borrowed) noexcept {
    const bool leaves = borrowed || slot.at_deadline.load() == core::AtDeadline::cancel;
    return leaves ? time_to_give_back : termination_delay(slot);
}

enum class Verdict : std::uint8_t { in_time, due_soon, overdue };

Verdict judge(std::uint64_t grant, bool borrowed, pg::Moment now) noexcept {
    bool exists = false;
    const Slot* slot = find_ended_slot(grant, exists);
    if (slot == nullptr) return exists ? Verdict::in_time : Verdict::overdue;
    return is_past_deadline(*slot, now, allowed_time(*slot, borrowed) + tolerance) ? Verdict::overdue
                                                                                   : Verdict::due_soon;
}

// Returns false if the event could not be written; the caller then tries again.
bool record_outlived(std::int32_t pid, std::uint64_t grant) {
    const auto fault = task::run_in_transaction([&] {
        const auto row = pg::query_row("SELECT usename::text FROM pg_catalog.pg_stat_activity WHERE pid = $1", {pid});
        control_event::write(
            "session outlived", static_cast<std::int64_t>(grant), task::actor,
            {{"pid", std::to_string(pid)}, {"login", row ? row->maybe<std::string>(0) : std::optional<std::string>()}});
    });
    return !fault;
}

}  // namespace

bool report() noexcept {
    static std::set<Key> reported;
    try {
        std::set<Key> overdue;
        bool is_due_soon = false;
        const auto now = pg::both_clocks();
        const auto sessions = shared_state->sessions();
        for (std::uint32_t number = 0; number < sessions.size(); ++number) {
            const auto& session = sessions[number];
            const auto pid = session.pid.load(std::memory_order_acquire);
            if (pid == 0) continue;
            const auto count = session.grant_count.load(std::memory_order_acquire);
            for (std::uint32_t i = 0; i < count; ++i) {
                const auto grant = session.grants[i].load();
                const auto verdict = judge(grant, session.borrows[i].load(), now);
                is_due_soon |= verdict != Verdict::in_time;
                if (verdict != Verdict::overdue || session.pid.load() != pid || !pg::is_backend(pid, number)) continue;
                (void)pg::terminate_session(pid);
                const Key key{pid, session.start.load(), grant};
                if (reported.contains(key) || record_outlived(pid, grant)) overdue.insert(key);
            }
        }
        reported = std::move(overdue);
        return is_due_soon;
    } catch (...) {
        return true;  // out of memory; tried again
    }
}

}  // namespace jit::overdue_sessions
