// The grants this session relies on: those it has run a statement under. When one of them is over, the session is ended
// or leaves it behind, as the template says, by a timer of its own: nobody else has to be well for that.
//
// A grant that is over and still relied on is a debt. A session in debt is allowed nothing. With `cancel` it settles
// the debt once its transaction is over: in a moment of its own between two commands it drops its cursors, the role it
// has chosen and its temporary objects, and relies on the grant no more.
#pragma once

#include <cstdint>

#include "jit_access/enforcement/effective_grants.hpp"

namespace jit::session {

// Whether these could be noted beside those that are; what cannot would not end the session.
[[nodiscard]] bool has_room_for(const enforcement::EffectiveGrants& grants) noexcept;
// Whether a statement has run under this grant.
[[nodiscard]] bool relies_on(std::uint64_t id) noexcept;
// Whether under these, and under no other.
[[nodiscard]] bool relies_on_exactly(const enforcement::EffectiveGrants& grants) noexcept;
// A statement is about to run under these grants. Throws when the session could not be stopped at their deadline.
void rely_on(const enforcement::EffectiveGrants& grants);
// A session that records without a grant: what is still open when it ends was interrupted.
void close_uses_at_end();

// The id of a grant that is relied on and over, or 0.
[[nodiscard]] std::uint64_t debt(pg::Moment at) noexcept;
[[nodiscard]] std::uint64_t debt() noexcept;

// Settles the debts before the next command, when there are any. May be called wherever a signal handler may.
void settle_soon() noexcept;

// This session has ended a grant itself: it relies on it no more, unless a role or a cursor from it is left.
void give_back(std::uint64_t id) noexcept;

// What was granted may not be committed when it is over, nor prepared, whatever role was put on since: these throw.
void before_commit();
void before_prepare();
void after_transaction(bool committed) noexcept;

}  // namespace jit::session
