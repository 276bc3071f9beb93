// The grants to which this session is bound: those under which it has run a statement.
//
// When a bound grant has ended, the session ends itself or leaves the grant, as the template says (action at the
// deadline). A timer in the session does that, without the worker and without a statement from the client.
//
// While a session is bound to a grant that has ended, every statement is refused. With the action `cancel` the session
// releases the grant as soon as it is outside of a transaction and between two commands: it commits an empty
// transaction in which it closes its cursors, resets its role and drops its temporary objects.
//
// A session that borrows a grant of another user (EffectiveGrants::borrowed) is bound to it until the end of its
// transaction, or as long as it has WITH HOLD cursors. At the deadline its statement is cancelled, whatever the
// template says; the session goes on, or is terminated if it does not come out of its transaction.
//
// The functions are called in the session's own process. Those that are noexcept allocate nothing.
#pragma once

#include <cstdint>

#include "jit_access/enforcement/effective_grants.hpp"

namespace jit::session {

// Whether the session can be bound to these grants in addition. The number is limited, because the session could not be
// stopped at the deadlines of more grants.
[[nodiscard]] bool has_room_for(const enforcement::EffectiveGrants& grants) noexcept;
// Of a parallel worker also: whether its leader is.
[[nodiscard]] bool is_bound_to(std::uint64_t id) noexcept;
// Whether the session is bound to these grants and to no other.
[[nodiscard]] bool is_bound_exactly_to(const enforcement::EffectiveGrants& grants) noexcept;
// Whether a statement of this session, or of the session that a parallel worker works for, is running that was recorded
// under these grants. What the server does inside it is neither checked nor recorded again.
[[nodiscard]] bool is_inside_use_of(const enforcement::EffectiveGrants& grants) noexcept;
// A statement is about to run under these grants. Throws limit_exceeded if the session could not be stopped at their
// deadline.
void bind_to(const enforcement::EffectiveGrants& grants);
// Around code that may change what signals do in this process (a procedural language such as plperl). The handlers are
// restored when a use is admitted, also inside such code, and when it ends in a bound session.
void foreign_code_runs() noexcept;
void foreign_code_ends() noexcept;
// Arranges that open uses are closed as interrupted when the process exits, also in a session without a grant (dry
// runs).
void close_uses_at_exit();

// Returns the id of an ended grant to which the session is bound; 0 if there is none.
[[nodiscard]] std::uint64_t ended_grant(pg::Moment at) noexcept;
[[nodiscard]] std::uint64_t ended_grant() noexcept;

// Makes the session release its ended grants, if there are any, before its next command. Async-signal-safe.
void schedule_release() noexcept;

// Call when this session's transaction ends the grant. The session is then no longer bound to it, unless a role or a
// cursor obtained under a grant remains.
void release_grant(std::uint64_t id) noexcept;

// Transaction callbacks. The first two throw if work done under a grant would be committed after its end, or would be
// prepared.
void before_commit();
void before_prepare();
void after_transaction(bool committed) noexcept;

}  // namespace jit::session
