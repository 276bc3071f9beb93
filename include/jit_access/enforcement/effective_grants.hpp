// Is this statement run under a grant, and does that grant still live? Asked before every statement, in every backend.
//
// A session without a grant pays a compare: its user, role and session user are those last found plain. Everything else
// is looked at again when memberships change (the server tells) or when the user does. What is found is the standing of
// a user: the grants whose privileges he has. Every one of them must be live on the shared_state; one that is over or
// that the running server has not confirmed refuses the statement, because its privileges cannot be told from the
// others.
//
// Beyond the membership there is the role that SET ROLE left behind: the server checks it when it is issued, never
// again. A session whose role was reached through a grant, or is one of ours and no longer granted, is refused as well.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::enforcement {

// The user (and the role chosen by SET ROLE) last found to hold no grant, as pg::packed_user_ids() packs them; 0 = look
// again.
extern std::atomic<std::uint64_t> plain;
// Whose session it was when that was found, and everything else that is known here: a superuser's may become another's.
extern std::uint32_t whose;

[[nodiscard]] inline bool holds_no_grant() noexcept {
    return pg::packed_user_ids() == plain.load(std::memory_order_relaxed) && pg::session_user().oid == whose;
}

inline std::uint64_t numbers_given = 0;

struct EffectiveGrants {
    std::uint64_t who = 0;
    std::uint64_t number = ++numbers_given;  // equal numbers: the same standing
    std::uint32_t count = 0;
    std::array<Slot*, core::max_session_grants> slots{};
    std::array<std::uint64_t, core::max_session_grants> ids{};
    std::uint64_t unconfirmed = 0;  // a grant role the board does not know; its id
    bool stale_role = false;        // SET ROLE left a role that is not granted any more
    bool too_many = false;
    const char* not_from_here = nullptr;  // the condition of a grant that this session's client does not meet
    std::uint64_t kept_from = 0;          // its id
    char login[64] = {};
    char role[64] = {};
};

// Where the current user stands; null when he is plain. Needs a transaction; may throw.
[[nodiscard]] const EffectiveGrants* current_grants();
// The same, as far as it is known without looking anything up: for a transaction that has failed.
[[nodiscard]] const EffectiveGrants* cached_grants() noexcept;
// Nobody's grant, for the record of a session that uses none.
[[nodiscard]] const EffectiveGrants& without_grant();
// Where somebody else stands with whose privileges a statement is checked: the owner of a view it reads.
[[nodiscard]] const EffectiveGrants* grants_of_owner(pg::RoleId owner);

enum class Access : std::uint8_t { allowed, over, unconfirmed, stale_role, too_many, not_from_here, second_factor };

[[nodiscard]] Access judge(const EffectiveGrants& grants, pg::Moment at) noexcept;

// Adds the grants of another standing: of the owner of a view that the statement reads.
void join(EffectiveGrants& into, const EffectiveGrants& other) noexcept;

// Whether the session could act as a role it has from a grant, used or not: some commands ask for membership only.
[[nodiscard]] bool may_act_as_granted();

// Whether this is the temporary role of a grant.
[[nodiscard]] bool is_grant_role(pg::RoleId role);
// Whether the session's user has this role without any grant.
[[nodiscard]] bool reaches_without_grant(pg::RoleId role);

// Throws the Failure for a access other than allowed.
[[noreturn]] void refuse(const EffectiveGrants& grants, Access access);

// How often memberships or roles have changed, as far as this process was told.
[[nodiscard]] std::uint64_t changes() noexcept;
inline constexpr std::uint64_t never = ~std::uint64_t{0};  // no number of changes
// A client has been let in: parallel workers of its session will ask where it is.
void note_client(const core::Client& client) noexcept;
// Drops every conclusion: memberships or roles changed.
void invalidate() noexcept;
// The same for a signal handler: nobody is plain until he has been looked at.
void look_again() noexcept;

}  // namespace jit::enforcement
