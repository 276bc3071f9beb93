// The shared memory of the extension: which grants are live and until when, which sessions use them, and the
// messages between the worker and the backends. Backends use only this memory to enforce grants; the tables and
// catalogs are updated afterwards. README.md of this room explains the states of a slot, the order of publication and
// the effect of a crash.
//
// Contract: the postmaster creates the memory, filled with zeroes, at the start (src/hooks.cpp) and again after a
// crash. The comment on a field names its writers and readers. Unless a lock is named, a field is atomic and read
// without a lock. "Counter" means relaxed order, because no other data depends on the value. Nothing here throws except
// reserve_slot().
//
// Units: wall times are microseconds since 2000-01-01 UTC, boot times microseconds since boot (pg/clock.hpp), other
// durations microseconds.
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
#include "jit_access/core/ring_buffer.hpp"
#include "jit_access/core/totp.hpp"
#include "jit_access/pg/clock.hpp"

struct Latch;

namespace jit {

// A plain structure that is stored and loaded word by word, because it is too large for one atomic. A reader may see a
// mixture of two values, which it detects by another field, such as the id of the slot.
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

// The number of counters of ids, see record/identifier.hpp. Some are not in use yet, so that the header of the journal
// need not change when a kind is added.
inline constexpr std::size_t id_counter_count = 16;

// free -> reserved -> live -> over -> retired -> reserved; reserved -> free on abort.
enum class SlotState : std::uint32_t { free, reserved, live, over, retired };

// One grant. Written by the process that reserved the slot, then by the process that holds the lock on the row of the
// request, except that any process may move `state` from live to over. Read by every backend before a statement.
struct alignas(64) Slot {
    // Stored last (release) when the slot becomes live, and first when it stops being live. Readers load it with
    // acquire.
    std::atomic<SlotState> state;
    // The request's id; 0 while the slot is free. A reader detects reuse of the slot by comparing the id that it
    // cached.
    std::atomic<std::uint64_t> id;
    std::atomic<std::uint32_t> role;       // OID of jit_grant_<id>; kept until reuse, see README.md
    std::atomic<std::uint32_t> requester;  // OID
    // The deadline on both clocks; the earlier one ends the grant. When the grant is extended, they are stored one
    // after the other. A reader in between sees the old, earlier deadline on one clock, and that one counts.
    std::atomic<std::int64_t> ends_wall;
    std::atomic<std::int64_t> ends_boot;
    std::atomic<core::AtDeadline> at_deadline;  // action on sessions that use the grant at its end
    std::atomic<bool> allows_code;              // the template allows functions and similar objects to be created
    std::atomic<bool> allows_schema_change;     // objects created under the grant belong to its role
    std::atomic<bool> steps_up;                 // first use in a session needs a second factor
    std::atomic<std::int64_t> grace;            // how long running statements may continue after the deadline
    // OID of the login that ended the grant before the tables were updated; 0 = none. Written by the session of that
    // login, before `state` becomes over. See grants/revocation.hpp.
    std::atomic<std::uint32_t> revoked_by;
    // May be a mixture of two grants while the slot is being filled; then the id is not the one that the reader
    // expects.
    Shared<core::Conditions> conditions;
};

// One backend, indexed by pg::backend_number(). Written by that backend only. Read by the worker and by a backend that
// ends a grant, to find the sessions that use it, and by the parallel workers of the session.
struct alignas(64) SessionSlot {
    std::atomic<std::int32_t> pid;    // 0 = not in use; stored last. May outlive a killed process, so readers verify it
    std::atomic<std::int64_t> start;  // start of the session, wall time
    // Grants that the session has used and not yet left. `grant_count` is stored (release) after the entry.
    std::atomic<std::uint32_t> grant_count;
    std::atomic<std::uint64_t> grants[core::max_session_grants];
    std::atomic<bool> borrows[core::max_session_grants];  // is the grant of another user, see EffectiveGrants::borrowed
    std::atomic<bool> runs_use;                           // a recorded statement is running; relaxed order
    std::atomic<bool> transaction_uses_grant;             // a statement of the open transaction ran under a grant
    std::atomic<bool> has_held_cursors;  // WITH HOLD cursors exist that may show data read under a grant
    // The second factor of the session, see SessionMark in second_factor_state.cpp.
    std::atomic<std::uint64_t> client_hash;
    std::atomic<std::uint32_t> stepped_up_login;
    std::atomic<std::uint32_t> stepped_up_reset_count;
    std::atomic<std::int64_t> stepped_up_until;
    // Stored after `start`, `client` and the second factor when authentication succeeds. Never reset: a parallel worker
    // accepts them only if this is the pid of its leader.
    std::atomic<std::int32_t> client_pid;
    Shared<core::Client> client;
};

// Counters since the start of the server, shown by jit_access.health. Written by every backend, except that the worker
// writes `worker_loops`.
struct Counters {
    std::atomic<std::uint64_t> late_refusals;     // statements refused because their grant had ended
    std::atomic<std::uint64_t> journal_waits;     // statements that waited for room in the journal
    std::atomic<std::uint64_t> journal_refusals;  // statements refused because they could not be recorded
    std::atomic<std::uint64_t> sessions_ended;    // sessions terminated because their grant had ended
    std::atomic<std::uint64_t> worker_loops;      // rounds of the worker; shows that it is alive
};

// Group commit of the journal, as XLogFlush() does for the WAL (access/transam/xlog.c). Syncs are numbered. A record is
// durable once a sync has completed whose number is greater than the value that `started` had when the record was
// inserted. Both fields are written under the sync lock (pg/locks.hpp) and read by every backend that waits,
// sequentially consistent.
struct SyncProgress {
    std::atomic<std::uint64_t> started;
    std::atomic<std::uint64_t> completed;
};

// Accepted and failed codes of one login, in an open-addressing hash table. Kept outside of transactions, so that a
// rollback undoes neither an attempt nor the acceptance of a code.
struct alignas(64) LoginFactor {
    // OID of the login; 0 = free. Set once under the second-factor lock (release), never freed: a search ends at the
    // first free entry, without the lock.
    std::atomic<std::uint32_t> login;
    // Counts resets by an administrator; written under the lock. A session that stepped up before a reset has an older
    // value. Read without the lock.
    std::atomic<std::uint32_t> reset_count;
    // Hash of the client's address from which the login stepped up last, and the boot time until which that step-up is
    // valid. Written without the lock by the session that steps up; `fresh_until` is 0 while `client_hash` changes.
    // Read by all sessions of the login.
    std::atomic<std::uint64_t> client_hash;
    std::atomic<std::int64_t> fresh_until;
    // The remaining fields are read and written under the second-factor lock.
    core::CodeHistory history;
    std::uint64_t new_secret;  // secret enrolled since the start: no code of it can have been accepted before
    std::int64_t unsaved_use;  // wall time of the last use that the table does not have yet; 0 = none
};
static_assert(sizeof(LoginFactor) == 64, "the table holds thousands of entries");

// A recovery code that is being tried, or that was accepted and is not yet marked in the table. Accessed under the
// second-factor lock.
struct UsedRecoveryCode {
    std::uint32_t login;    // OID; 0 = free
    std::int32_t tried_by;  // pid of the session that tries it; 0 = accepted
    std::array<std::byte, 32> digest;
};

inline constexpr std::uint32_t max_factor_logins = 4096;

// State of second factors, see second_factor_state.hpp.
struct SecondFactors {
    // Codes of steps up to this one may have been accepted before the server was started or promoted. Written at the
    // start and by the first process that notices a promotion; read under the second-factor lock.
    std::atomic<std::uint64_t> step_floor;
    std::atomic<bool> was_primary;  // whether `step_floor` covers the time as a standby; written by the same processes
    std::atomic<bool> has_unsaved;  // set under the second-factor lock by sessions, cleared by the worker
    std::array<LoginFactor, max_factor_logins> logins;
    std::array<UsedRecoveryCode, 256> recovery_codes;
};

// Refusals of one kind by one login, see shared/attempt_counter.hpp. Written by all sessions of the login.
struct AttemptKind {
    std::atomic<std::uint64_t> key;         // SQLSTATE and grant; 0 = free
    std::atomic<std::int64_t> recorded_in;  // the minute in which one was recorded last, as LoginAttempts::window
    std::atomic<std::uint64_t> folded;  // counted and not yet on the record; the worker subtracts what it has written
};

// Attempts of one login, in an open-addressing hash table. Written by all sessions of the login, without a lock; at the
// beginning of a minute, counts may be off by the number of sessions.
struct alignas(64) LoginAttempts {
    std::atomic<std::uint32_t> login;        // OID; 0 = free. Claimed by compare-and-swap
    std::atomic<std::uint32_t> refusals;     // in this minute
    std::atomic<std::uint32_t> requests;     // in this minute
    std::atomic<std::int64_t> window;        // boot time at which the minute began
    std::atomic<std::int64_t> first_folded;  // wall time of the first attempt that is not on the record yet; 0 = none
    std::atomic<std::int64_t> last_folded;
    std::atomic<std::uint64_t> folded_others;  // counted attempts of kinds that have no counter of their own
    std::array<AttemptKind, 32> kinds;
};

// Sweeps for drift, which sessions request and the worker makes. A session waits until `completed` reaches the number
// of its request.
struct SweepProgress {
    std::atomic<std::uint64_t> requested;    // incremented by sessions
    std::atomic<std::uint64_t> completed;    // written by the worker after the sweep
    std::atomic<std::uint64_t> differences;  // found since the start; counter, written by the worker
};

// Reports of the actors of a drill, see rehearsal/drill.hpp.
enum class DrillCheck : std::uint32_t { denied_before, requested, first_approval, second_approval, used, denied_after };
enum class DrillOutcome : std::uint32_t { pending, passed, failed };

// Written by one actor, read by the conductor, which resets `outcome` before the drill.
struct DrillResult {
    std::atomic<DrillOutcome> outcome;  // stored last (release)
    std::atomic<std::int64_t> duration;
    std::atomic<std::int64_t> number;  // id of the request; only for the check `requested`
    Shared<std::array<char, 256>> reason;
};

// The running drill, if any. A cluster runs one drill at a time.
struct DrillControl {
    std::atomic<std::int32_t> conductor_pid;   // 0 = none; claimed by compare-and-swap
    std::atomic<std::int64_t> drill_id;        // written by the process that claimed it; actors stop when it changes
    std::atomic<std::int32_t> actor_count;     // running actors of all drills; written by the actors
    std::atomic<std::int64_t> grant_deadline;  // wall time; 0 until active. Written by the conductor, read by actors
    std::array<DrillResult, 6> results;        // by DrillCheck
};

// Fields that different processes write often have cache lines of their own.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct SharedState {
    SecondFactors second_factors;
    core::RingControl ring;  // the journal's positions, see core/ring_buffer.hpp
    Counters counters;
    alignas(64) SyncProgress syncs;
    SweepProgress sweeps;
    std::atomic<std::int32_t> worker_pid;  // written by the worker when it starts; 0 = never started
    std::atomic<Latch*> worker_latch;      // in the server's shared memory; set by the worker, used by every process
    // Nonzero while the worker waits for new records. The first backend that exchanges it for 0 wakes the worker. Both
    // sides store before they load, sequentially consistent, so no wake-up is lost.
    alignas(64) std::atomic<std::uint32_t> worker_is_waiting;
    std::atomic<std::uint32_t> slots_in_use;  // high-water mark: slots from here on were never reserved
    std::atomic<std::uint32_t> slot_cursor;   // where the next search for a slot begins, so the oldest is reused first

    // Written by the postmaster before any child exists: whether the server was started as a standby (standby.signal).
    // This is false for a restored backup during its recovery.
    bool started_as_standby;
    // WAL position of the last commit that changed requests or grants, from the journal's header. Written by the
    // postmaster, read by the worker.
    std::uint64_t last_decision_lsn;
    // Journal position where this run of the server began to write. Earlier records were written by processes that no
    // longer exist. Written by the postmaster. If the file has lost its end, the worker writes this field, too, before
    // backends may write to the journal.
    std::uint64_t journal_head_at_start;
    // Whether backends may write to the journal: set by the postmaster if the machine has not booted since the file was
    // verified, else by the worker (release) after it has compared file and tables. Read with acquire.
    std::atomic<bool> journal_accepts_writes;
    bool journal_was_checked;  // the worker has compared file and tables since the start; used by the worker only
    // The tables end before `last_decision_lsn`, so a backup was restored. Used by the worker only.
    bool tables_are_stale;

    // The highest ids assigned, see record/identifier.hpp. Used only if there is no journal; otherwise they are in the
    // journal's header.
    std::array<std::atomic<std::uint64_t>, id_counter_count> last_ids;
    // Whether the counter of requests is above all ids that were assigned before the extension was dropped and created
    // again. Written by the first process that assigns an id.
    std::atomic<bool> earlier_ids_are_known;

    // Cache of templates whose closure is allowed, see policy/template_closure.hpp: an array of hashes, indexed by the
    // template id modulo the size of the array. `closure_epoch` is part of each hash; incrementing it drops the cache.
    // Read and written by every backend.
    std::atomic<std::uint64_t> closure_epoch;
    std::array<std::atomic<std::uint64_t>, 1024> checked_closures;
    DrillControl drill;
    std::array<LoginAttempts, 256> attempts;
    std::uint32_t slot_count;     // jit_access.max_grants; constant
    std::uint32_t session_count;  // pg::session_limit(); constant

    // The arrays follow the structure: slots, then sessions.
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
              "backends read shared memory without a lock");

// Null if the library was not preloaded.
extern SharedState* shared_state;

// The entry of this process.
[[nodiscard]] SessionSlot& own_session() noexcept;
// In a parallel worker, returns the entry of its leader, if the leader has authenticated a client or used a grant.
// Otherwise returns null.
[[nodiscard]] const SessionSlot* leader_session() noexcept;

// The content of a slot as a value.
struct GrantTerms {
    std::uint64_t id = 0;
    std::uint32_t role = 0;
    std::uint32_t requester = 0;
    pg::Moment ends;
    core::AtDeadline at_deadline = core::AtDeadline::terminate;
    std::int64_t grace = 0;
    bool allows_code = false;
    bool allows_schema_change = false;
    bool steps_up = false;
    core::Conditions conditions;
};

// The slot of a grant that is reserved, live or over; null if there is none.
[[nodiscard]] Slot* find_slot(std::uint64_t id) noexcept;
// Takes a slot for a grant whose transaction has not committed. Throws limit_exceeded if all slots are taken.
Slot* reserve_slot(const GrantTerms& terms);
// Stores the terms. The slot must not be live.
void fill_slot(Slot& slot, const GrantTerms& terms) noexcept;
void set_deadline(Slot& slot, pg::Moment end) noexcept;
// The same for a slot that another process may end at the same time: a grant that is over stays over.
void extend_deadline(Slot& slot, pg::Moment end) noexcept;
// Makes a filled slot live.
void publish_slot(Slot& slot) noexcept;
// Gives back a reserved slot after an abort.
void free_slot(Slot& slot) noexcept;
// Marks a live grant as over: from then on, every backend refuses to use it. A grant that ends before its deadline has
// been revoked and has no grace period.
void finish_slot(Slot& slot) noexcept;
// Makes the slot reusable after the clean-up. Its role OID stays readable until reuse.
void retire_slot(std::uint64_t id) noexcept;

// Returns the microseconds until the deadline, on the clock on which it comes first; negative after the deadline.
[[nodiscard]] inline std::int64_t time_left(const Slot& slot, pg::Moment at) noexcept {
    return std::min(slot.ends_wall.load(std::memory_order_relaxed) - at.wall,
                    slot.ends_boot.load(std::memory_order_relaxed) - at.boot);
}
// Whether the deadline, postponed by `added` microseconds, has been reached on either clock. The moment of the deadline
// itself counts as past. `added` is subtracted from the time, because a deadline may be close to the largest integer.
[[nodiscard]] inline bool is_past_deadline(const Slot& slot, pg::Moment at, std::int64_t added = 0) noexcept {
    return at.wall - added >= slot.ends_wall.load(std::memory_order_relaxed) ||
           at.boot - added >= slot.ends_boot.load(std::memory_order_relaxed);
}
[[nodiscard]] inline bool is_live(const Slot& slot, pg::Moment at) noexcept {
    return slot.state.load(std::memory_order_acquire) == SlotState::live && !is_past_deadline(slot, at);
}
// Long enough for a session to cancel its statement and leave the grant by itself, see enforcement/session.cpp.
inline constexpr std::int64_t time_to_leave = 100'000;
// Microseconds after the end of the grant until other processes terminate a session that still uses it and has not
// borrowed it.
[[nodiscard]] std::int64_t termination_delay(const Slot& slot) noexcept;

void wake_worker() noexcept;

}  // namespace jit
