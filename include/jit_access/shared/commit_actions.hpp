// Changes of shared memory that a transaction makes when it commits.
//
// Catalog changes roll back; shared memory does not. A transaction therefore queues its actions on slots. The queue is
// applied at commit and dropped at abort; the abort of a subtransaction drops only its own actions.
//
// A new grant's slot becomes live just before the commit, when no session can see its membership yet: a session that
// sees the membership always finds the slot. The end of a grant is applied right after the commit, because a failed
// commit must not end a grant. A revocation is the exception: it marks the slot before the tables change
// (grants/revocation).
//
// A commit that activates or extends a grant is flushed to disk, whatever the value of synchronous_commit. Otherwise a
// crash could undo an approval although uses of the grant are on the record.
//
// src/transaction.cpp calls the second half of this interface from the server's transaction callbacks.
#pragma once

#include <cstdint>
#include <span>

#include "jit_access/shared/shared_state.hpp"

namespace jit::commit_actions {

// ---- queue an action in the current (sub)transaction ---------------------------------------------------------------

void make_live(Slot& slot);  // the slot must be reserved; an abort frees it
void finish(std::uint64_t id);
void move_deadline(std::uint64_t id, pg::Moment ends);
void request_wakeup();  // wakes the worker

// Called for a command that may widen the closure of a template: cached closures are dropped at commit. A rollback to a
// savepoint does not cancel this, because dropping a cache unnecessarily is harmless.
void change_closures();
[[nodiscard]] bool closures_changed() noexcept;  // in this transaction

// ---- apply or drop the queue ---------------------------------------------------------------------------------------

enum class Kind : std::uint8_t { make_live, finish, move_deadline, wake };

struct Action {
    Kind kind;
    std::uint32_t subtransaction;  // in which the action was queued; after its commit, the parent
    Slot* slot = nullptr;          // for make_live
    std::uint64_t id = 0;          // for finish and move_deadline
    pg::Moment ends{};             // for move_deadline
};

[[nodiscard]] std::span<const Action> queued() noexcept;

// Publishes new slots. Throws wrong_state, which aborts the transaction, if a deadline that is to be moved has passed
// in the meantime.
void before_commit();
void after_commit() noexcept;
void after_abort() noexcept;
void subtransaction_committed(std::uint32_t mine, std::uint32_t parent) noexcept;
void subtransaction_aborted(std::uint32_t mine) noexcept;

// Returns closures_changed() and resets it.
[[nodiscard]] bool take_closures_changed() noexcept;

}  // namespace jit::commit_actions
