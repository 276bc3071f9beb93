// The grants to which this session is bound: those under which it has run a statement.
//
// When a bound grant has ended, the session ends itself or leaves the grant, depending on the template's action at the
// deadline. A timer in the session triggers this, so neither the worker nor a statement from the client is needed.
//
// While a session is bound to a grant that has ended, every statement is refused. With the action `cancel` the session
// releases the grant as soon as it is outside of a transaction and between two commands: it commits an empty
// transaction in which it closes its cursors, resets its role and drops its temporary objects.
//
// A session that borrows a grant of another user (EffectiveGrants::borrowed) is bound to that grant until the end of
// the transaction, or as long as the session has WITH HOLD cursors. At the deadline the session's statement is
// cancelled, regardless of the template's action. The session then continues, or is terminated if it does not leave its
// transaction.
//
// The functions are called in the session's own process. Those that are noexcept allocate nothing.
#pragma once

#include <cstdint>

#include "jit_access/enforcement/effective_grants.hpp"

namespace jit::session {

// Whether the session can be bound to these grants in addition to its present ones. The number of grants is limited,
// because the session could not be stopped at the deadlines of more grants.
[[nodiscard]] bool has_room_for(const enforcement::EffectiveGrants& grants) noexcept;
// Whether the session is bound to this grant. In a parallel worker, also true if the leader's session is bound to it.
[[nodiscard]] bool is_bound_to(std::uint64_t id) noexcept;
// Whether the session is bound to these grants and to no other.
[[nodiscard]] bool is_bound_exactly_to(const enforcement::EffectiveGrants& grants) noexcept;
// Whether a statement that was recorded under these grants is running in this session or, in a parallel worker, in the
// leader's session. The server's actions inside that statement are neither checked nor recorded again.
[[nodiscard]] bool is_inside_use_of(const enforcement::EffectiveGrants& grants) noexcept;
// Call before a statement runs under these grants. Throws limit_exceeded if the session could not be stopped at their
// deadline.
void bind_to(const enforcement::EffectiveGrants& grants);
// Call these two around code that may change what signals do in this process (a procedural language such as plperl). In
// a bound session, the signal handlers are restored when such code ends. They are also restored when a use is admitted,
// even inside such code.
void foreign_code_runs() noexcept;
void foreign_code_ends() noexcept;
// Arranges that open uses are closed as interrupted when the process exits, even in a session without a grant (dry
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

// Transaction callbacks. before_commit() throws if changes made under a grant would be committed after the end of the
// grant; before_prepare() throws if a transaction that used a grant would be prepared.
void before_commit();
void before_prepare();
void after_transaction(bool committed) noexcept;

}  // namespace jit::session
