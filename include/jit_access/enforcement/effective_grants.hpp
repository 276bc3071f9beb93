// The grants whose privileges the current user has, and whether they still allow access.
//
// Every backend checks this before every statement. For a session without a grant that costs one comparison
// (holds_no_grant()): its user, its SET ROLE role and its session user are those last found to hold no grant. Otherwise
// current_grants() resolves the memberships of the user once and caches the result until the server announces a change
// of memberships or roles, or the user changes. evaluate_access() then compares the cached slots with the clocks.
//
// All of the effective grants must be live. If one has ended, or has not been confirmed by the running server, the
// statement is refused, because the server does not say through which membership a privilege was found.
//
// The role chosen by SET ROLE is checked as well as the memberships, because the server checks it only when it is set
// (check_role() in src/backend/commands/variable.c). A session whose chosen role is no longer granted is therefore
// refused. A session whose chosen role is reached through a grant, but is not jit_grant_<id> itself, is refused too,
// because objects that it creates as that role would not belong to the grant. Roles are chosen by SET ROLE, by
// set_config(), by SET clauses of functions, by settings of roles and databases and by start-up options, so the check
// is made when the role is used.
//
// Functions that may read catalogs need a transaction and may throw. Nothing here takes a lock of the extension.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::enforcement {

// Cache of a negative answer: the user and SET ROLE role, as packed by pg::packed_user_ids(), last found to hold no
// grant. 0: no cached answer.
extern std::atomic<std::uint64_t> no_grant_user;
// The session user for whom everything cached here is valid. SET SESSION AUTHORIZATION changes the session user.
extern std::uint32_t cached_session_user;

// Returns true if this session certainly uses no grant. If it returns false, current_grants() must be called. Needs no
// transaction.
[[nodiscard]] inline bool holds_no_grant() noexcept {
    return pg::packed_user_ids() == no_grant_user.load(std::memory_order_relaxed) &&
           pg::session_user().oid == cached_session_user;
}

inline std::uint64_t last_serial = 0;

struct EffectiveGrants {
    std::uint64_t user_key = 0;  // for whom this was resolved, as pg::packed_user_ids() packs it; 0: not cached
    std::uint64_t serial = ++last_serial;  // equal serials: equal contents
    std::uint32_t count = 0;
    std::array<Slot*, core::max_session_grants> slots{};
    std::array<std::uint64_t, core::max_session_grants> ids{};
    // True if the holder of the grant is not the session user: the session runs a SECURITY DEFINER function of the
    // holder, or reads a view of the holder. The session uses the grant for one transaction, and its statement is
    // cancelled when the grant ends.
    std::array<bool, core::max_session_grants> borrowed{};
    std::uint64_t unconfirmed = 0;            // id of a grant whose role has no live or ended slot; 0: none
    std::uint64_t quarantined = 0;            // id of an ended grant whose quarantined code would run; 0: none
    bool stale_role = false;                  // SET ROLE chose a role that is no longer granted
    bool refused_role = false;                // SET ROLE chose a role of a grant other than jit_grant_<id>
    bool too_many = false;                    // more than core::max_session_grants
    const char* unmet_condition = nullptr;    // condition of a grant that this session's client does not meet
    std::uint64_t unmet_condition_grant = 0;  // the id of that grant
    char login[64] = {};                      // names of session user and effective role, for the record
    char role[64] = {};

    // False if every statement is refused, regardless of the clocks.
    [[nodiscard]] bool can_be_used() const noexcept {
        return count != 0 && unconfirmed == 0 && !stale_role && !refused_role && !too_many &&
               unmet_condition == nullptr;
    }
};

// Returns the grants of the current user; null if there are none. The result is valid until the next call. Needs a
// transaction; may throw.
[[nodiscard]] const EffectiveGrants* current_grants();
// Returns the cached result of current_grants(), or null. Reads no catalog, so it can be called in a failed
// transaction.
[[nodiscard]] const EffectiveGrants* cached_grants() noexcept;
// Returns an empty set of grants with the names filled in, for records of sessions that use no grant.
[[nodiscard]] const EffectiveGrants& no_grants();
// Returns the effective grants of the owner of a view; the server checks the tables behind the view with the owner's
// privileges. Null if the owner holds none.
[[nodiscard]] const EffectiveGrants* grants_of_owner(pg::RoleId owner);

enum class Access : std::uint8_t {
    allowed,
    grant_over,             // a grant's deadline has passed or it was ended
    unconfirmed,            // this server has not confirmed a grant
    quarantined,            // code that was made under an ended grant would run with the privileges of its owner
    stale_role,             // SET ROLE chose a role that is no longer granted
    refused_role,           // SET ROLE chose a role of a grant other than jit_grant_<id>
    too_many,               // the session cannot be bound to so many grants
    condition_unmet,        // the client does not meet a grant's conditions
    second_factor_missing,  // first use in a session that has not stepped up
};

// Returns whether a statement may run under these grants at this moment. The result is never `allowed` while the
// session is bound to a grant that has ended.
[[nodiscard]] Access evaluate_access(const EffectiveGrants& grants, pg::Moment at) noexcept;
// Throws the Failure for the given Access, which must not be `allowed`.
[[noreturn]] void refuse(const EffectiveGrants& grants, Access access);

// Returns a set with the names of `named` and without any grants.
[[nodiscard]] EffectiveGrants without_grants(const EffectiveGrants& named) noexcept;
// Adds the grants of a view's owner (`other`) to those of the user (`into`).
void merge_grants(EffectiveGrants& into, const EffectiveGrants& other, pg::RoleId owner) noexcept;

// Whether this role is neither the session user nor the role chosen by SET ROLE. If such a role is the current user or
// the owner of a view, the session borrows its grants.
[[nodiscard]] bool is_borrowed(pg::RoleId user) noexcept;
// Whether the current user is the owner of a table that somebody else maintains. ANALYZE, VACUUM, CLUSTER, REINDEX and
// REFRESH, in a session or in autovacuum, run code as the owner. In that code the owner's grants give no privileges.
[[nodiscard]] bool is_maintained_by_other() noexcept;

// Returns whether the session could act as a role that it has from a grant, even if it has not used the grant. For some
// commands the server checks membership instead of inherited privileges.
[[nodiscard]] bool may_act_as_grant_role();
// Whether the role is the temporary role of a grant: a direct member of the marker role.
[[nodiscard]] bool is_grant_role(pg::RoleId role);
// Whether the member is this role, or a member of it without any grant.
[[nodiscard]] bool is_member_without_grant(pg::RoleId member, pg::RoleId role);
// The same for the session user.
[[nodiscard]] bool is_session_member_without_grant(pg::RoleId role);

// Counts the changes of memberships and roles that this process has been notified of.
[[nodiscard]] std::uint64_t membership_generation() noexcept;
inline constexpr std::uint64_t no_generation = ~std::uint64_t{0};  // equals no membership_generation()

// Stores the authenticated client of this session in shared memory, where its parallel workers read it.
void publish_client(const core::Client& client) noexcept;

// Invalidates everything cached, because memberships or roles have changed.
void invalidate() noexcept;
// Invalidates the answer of holds_no_grant(); async-signal-safe.
void invalidate_from_signal() noexcept;

}  // namespace jit::enforcement
