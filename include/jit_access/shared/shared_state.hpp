// The board: which grants live, until when, in shared memory. It is the enforcement; the catalogs only follow.
//
// A slot is written by whoever provisions or ends the grant (one process at a time, serialised by the request's row
// lock) and read by every backend without a lock. `state` is stored last when a slot becomes live and first when it
// ceases to be, and a reader compares the id it cached, so a reused slot is never mistaken. Slots of ended grants keep
// their role OIDs until reuse: a session that kept such a role after it was dropped is recognised by them.
//
// Shared memory is made anew after a crash: every grant is then unconfirmed, which is refused, until the worker has
// read the table again.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

#include "jit_access/core/conditions.hpp"
#include "jit_access/core/journal_record.hpp"
#include "jit_access/core/lifecycle.hpp"
#include "jit_access/core/ring.hpp"
#include "jit_access/core/totp.hpp"
#include "jit_access/pg/clock.hpp"

struct Latch;

namespace jit {

// Plain data in shared memory, stored and loaded word by word. A reader who may meet a writer has to find out
// otherwise.
template <class T>
class Shared {
public:
    void store(const T& value) noexcept {
        Words words{};
        std::memcpy(words.data(), &value, sizeof value);
        for (std::size_t i = 0; i < words.size(); ++i) words_[i].store(words[i], std::memory_order_relaxed);
    }
    [[nodiscard]] T load() const noexcept {
        Words words{};
        for (std::size_t i = 0; i < words.size(); ++i) words[i] = words_[i].load(std::memory_order_relaxed);
        T value;
        std::memcpy(static_cast<void*>(&value), words.data(), sizeof value);
        return value;
    }

private:
    static_assert(std::is_trivially_copyable_v<T>);
    using Words = std::array<std::uint64_t, (sizeof(T) + 7) / 8>;
    std::array<std::atomic<std::uint64_t>, std::tuple_size_v<Words>> words_;
};

enum class SlotState : std::uint32_t { free, reserved, live, over, retired };

struct alignas(64) Slot {
    std::atomic<SlotState> state;
    std::atomic<std::uint64_t> id;
    std::atomic<std::uint32_t> role;  // jit_grant_<id>
    std::atomic<std::uint32_t> requester;
    std::atomic<std::int64_t> ends_wall;  // deadline, wall clock
    std::atomic<std::int64_t> ends_boot;  // the same on the boot clock; whichever comes first
    std::atomic<core::AtDeadline> at_deadline;
    std::atomic<bool> allows_code;
    std::atomic<bool> allows_schema;  // what is made under it belongs to it
    std::atomic<bool> steps_up;       // demands a second factor at its first use in a session
    std::atomic<std::int64_t> grace;  // microseconds that running work has beyond the deadline
    // While the slot is filled for another grant these may be of both; then its id is another one as well.
    Shared<core::Conditions> conditions;
};

// One per backend. A session is bound by every grant it has run a statement under.
struct alignas(64) SessionSlot {
    std::atomic<std::int32_t> pid;  // 0 = free
    std::atomic<std::int64_t> start;
    std::atomic<std::uint32_t> used_count;
    std::atomic<std::uint64_t> used[core::max_session_grants];
    std::atomic<bool> relies;              // its open transaction does
    std::atomic<bool> keeps_cursors;       // that may be from a grant
    std::atomic<std::int32_t> client_pid;  // whose client this is; left behind when it is gone
    Shared<core::Client> client;
};

struct Counters {
    std::atomic<std::uint64_t> late_refusals;
    std::atomic<std::uint64_t> journal_waits;
    std::atomic<std::uint64_t> journal_refusals;
    std::atomic<std::uint64_t> sessions_ended;
    std::atomic<std::uint64_t> worker_loops;
};

// Writing the journal to disk, by number: one that has begun after a record was put there covers it.
struct Syncs {
    std::atomic<std::uint64_t> begun;
    std::atomic<std::uint64_t> done;
};

// What is known of one login's codes since the start. Kept outside of transactions, so that nothing undoes an attempt.
struct alignas(64) Factor {
    std::atomic<std::uint32_t> login;  // 0 = free; never freed
    std::atomic<std::uint32_t> epoch;  // counts resets: who stepped up before one has not
    // Where the login has stepped up last, by a hash of the client's address, and until when by the boot clock.
    std::atomic<std::uint64_t> client;
    std::atomic<std::int64_t> fresh_until;
    core::CodeHistory history;  // under the lock, as what follows
    std::uint64_t new_secret;   // that was made since the start
    std::int64_t unwritten;     // when it was used last, by the wall clock, until the table has it; 0: it has
};
static_assert(sizeof(Factor) == 64, "there are many of them");

// A recovery code that somebody is trying, or that was accepted and the worker has not written down.
struct SpentCode {
    std::uint32_t login;    // 0 = free
    std::int32_t tried_by;  // process; 0 = accepted
    std::array<std::byte, 32> digest;
};

inline constexpr std::uint32_t max_factors = 4096;

struct Factors {
    std::atomic<std::uint64_t> floor;  // codes up to this step may have been accepted by a run before
    std::atomic<bool> was_primary;
    std::atomic<bool> any_unwritten;
    std::array<Factor, max_factors> logins;
    std::array<SpentCode, 256> spent;
};

// Sweeps for drift that were asked for, and made, by number.
struct Sweeps {
    std::atomic<std::uint64_t> wanted;
    std::atomic<std::uint64_t> done;
    std::atomic<std::uint64_t> found;  // differences, since the start
};

// What the processes of a drill tell each other, see drill.hpp.
enum class DrillPoint : std::uint32_t { closed, asked, approved_once, approved_twice, used, refused };
enum class DrillWord : std::uint32_t { none, as_expected, failed };

struct DrillAnswer {
    std::atomic<DrillWord> word;  // stored last
    std::atomic<std::int64_t> took;
    std::atomic<std::int64_t> number;
    Shared<std::array<char, 256>> why;
};

struct DrillDesk {
    std::atomic<std::int32_t> pid;  // who conducts; 0 = nobody
    std::atomic<std::int64_t> id;
    std::atomic<std::int32_t> actors;    // how many are there, of whichever drill
    std::atomic<std::int64_t> deadline;  // of the grant, by the wall clock, once it is active
    std::array<DrillAnswer, 6> answers;  // by DrillPoint
};

// What different processes write stays on lines of its own.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct SharedState {
    Factors factors;  // see second_factor_state.hpp
    core::RingControl ring;
    Counters counters;
    alignas(64) Syncs syncs;
    Sweeps sweeps;
    std::atomic<std::int32_t> worker_pid;
    std::atomic<Latch*> worker_latch;
    alignas(64) std::atomic<std::uint32_t> worker_sleeps;  // set by the worker before it waits for the journal
    std::atomic<std::uint32_t> slots_in_use;               // high-water mark
    std::atomic<std::uint32_t> slot_cursor;  // where the next search begins: slots are reused oldest first
    bool follows_primary;                    // it was started as a standby; a restored backup in recovery was not
    std::uint64_t wal_before;                // where the last decision before the start stands in the WAL
    std::uint64_t journal_before;            // where the journal of those ended who are gone since the start
    std::atomic<bool> journal_is_whole;      // as far as can be told, see journal.hpp; until then nobody writes to it
    bool journal_was_looked_at;              // by the worker, since the start
    bool tables_are_old;                     // they do not reach so far: a backup was restored; set by the worker
    // Templates whose closure was found good, and what may have changed that since: see template_closure.cpp.
    std::atomic<std::uint64_t> closure_epoch;
    std::array<std::atomic<std::uint64_t>, 1024> closure_seals;
    DrillDesk drill;
    std::uint32_t slot_count;
    std::uint32_t session_count;

    [[nodiscard]] std::span<Slot> slots() noexcept { return {reinterpret_cast<Slot*>(this + 1), slot_count}; }
    [[nodiscard]] std::span<Slot> used_slots() noexcept {
        return slots().first(slots_in_use.load(std::memory_order_acquire));
    }
    [[nodiscard]] std::span<SessionSlot> sessions() noexcept {
        return {reinterpret_cast<SessionSlot*>(reinterpret_cast<Slot*>(this + 1) + slot_count), session_count};
    }

    [[nodiscard]] static std::size_t bytes(std::size_t slots, std::size_t sessions) noexcept {
        return sizeof(SharedState) + slots * sizeof(Slot) + sessions * sizeof(SessionSlot);
    }
};

static_assert(std::atomic<SlotState>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free,
              "the board is read without a lock");

// The board of this server; null where the library was not preloaded.
extern SharedState* shared_state;

// What a slot says about a grant.
struct GrantTerms {
    std::uint64_t id = 0;
    std::uint32_t role = 0;
    std::uint32_t requester = 0;
    pg::Moment ends;
    core::AtDeadline at_deadline = core::AtDeadline::terminate;
    std::int64_t grace = 0;
    bool allows_code = false;
    bool allows_schema = false;
    bool steps_up = false;
    core::Conditions conditions;
};

[[nodiscard]] Slot* find_slot(std::uint64_t id) noexcept;
// Takes a slot for a grant whose transaction has not committed. Throws limit_exceeded when all are taken.
Slot* reserve_slot(const GrantTerms& terms);
void fill_slot(Slot& slot, const GrantTerms& terms) noexcept;  // one that is not live
void set_end(Slot& slot, pg::Moment end) noexcept;
void publish_slot(Slot& slot) noexcept;
void free_slot(Slot& slot) noexcept;  // the transaction did not commit
// The grant is over: refuse from here on. Before its deadline there is no grace.
void finish_slot(Slot& slot) noexcept;
// After the clean-up the slot may be reused, oldest first; its role OIDs stay readable until then.
void retire_slot(std::uint64_t id) noexcept;

// Microseconds, by the clock on which they are fewer.
[[nodiscard]] inline std::int64_t time_left(const Slot& slot, pg::Moment at) noexcept {
    return std::min(slot.ends_wall.load(std::memory_order_relaxed) - at.wall,
                    slot.ends_boot.load(std::memory_order_relaxed) - at.boot);
}
// Over by either clock, and at the very moment of the deadline. With so many microseconds added to it, which may be as
// far away as numbers go.
[[nodiscard]] inline bool is_past(const Slot& slot, pg::Moment at, std::int64_t added = 0) noexcept {
    return at.wall - added >= slot.ends_wall.load(std::memory_order_relaxed) ||
           at.boot - added >= slot.ends_boot.load(std::memory_order_relaxed);
}
[[nodiscard]] inline bool still_lives(const Slot& slot, pg::Moment at) noexcept {
    return slot.state.load(std::memory_order_acquire) == SlotState::live && !is_past(slot, at);
}
// How long others wait, after the end, before they end a session that relies on the grant and has not come out of it.
[[nodiscard]] std::int64_t patience(const Slot& slot) noexcept;

void wake_worker() noexcept;

}  // namespace jit
