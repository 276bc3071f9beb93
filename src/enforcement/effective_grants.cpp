#include "jit_access/enforcement/effective_grants.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/enforcement/session.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/client.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/invalidation.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/signals.hpp"
#include "jit_access/shared/second_factor_state.hpp"

namespace jit::enforcement {

std::atomic<std::uint64_t> no_grant_user = 0;
std::uint32_t cached_session_user = 0;

namespace {

using core::Code;
using core::Failure;
using pg::RoleId;

EffectiveGrants current;       // result for the user with key current.user_key
EffectiveGrants owner_grants;  // result for the view owner asked about last
std::uint64_t generation = 0;  // counts changes of memberships

// Users recently resolved to hold no grant. Referential checks and SECURITY DEFINER functions switch the user back and
// forth; without this cache, each switch would resolve memberships again.
std::array<std::uint64_t, 16> recent_no_grant_users{};
std::size_t next_recent_user = 0;

// Counts invalidations by the signal handler, so that an invalidation during the resolution of memberships is noticed.
std::atomic<std::uint32_t> signal_invalidations = 0;

void copy_name(char (&to)[64], const std::optional<std::string>& name) noexcept {
    std::memset(to, 0, sizeof to);
    if (name) name->copy(to, sizeof to - 1);
}

// Whether `from` is a member of `to`, directly or indirectly, by memberships that do not lead through the role of a
// grant.
bool is_member_without_grant_role(RoleId from, RoleId to, RoleId marker) {
    std::vector<RoleId> roles{from};
    for (std::size_t i = 0; i < roles.size(); ++i) {
        if (roles[i] == to) return true;
        const auto next = pg::memberships(roles[i]);
        if (std::find(next.begin(), next.end(), marker) != next.end()) continue;
        for (const RoleId role : next)
            if (std::find(roles.begin(), roles.end(), role) == roles.end()) roles.push_back(role);
    }
    return false;
}

bool is_grant_role(RoleId role, RoleId marker) {
    const auto groups = pg::memberships(role);
    return std::find(groups.begin(), groups.end(), marker) != groups.end();
}

// The id in the role's name; 0 if the role has another name or was dropped.
std::uint64_t id_in_role_name(RoleId role, std::string_view prefix) {
    const auto name = pg::role_name(role).value_or("");
    std::uint64_t id = 0;
    if (name.starts_with(prefix)) std::from_chars(name.data() + prefix.size(), name.data() + name.size(), id);
    return id;
}

// A grant may be reached in several ways; it is listed once.
void add_slot(EffectiveGrants& grants, Slot* slot, std::uint64_t id, bool borrowed) noexcept {
    const auto end = grants.ids.begin() + grants.count;
    if (const auto present = std::find(grants.ids.begin(), end, id); present != end) {
        grants.borrowed[static_cast<std::size_t>(present - grants.ids.begin())] &= borrowed;
        return;
    }
    if (grants.count == core::max_session_grants) {
        grants.too_many = true;
        return;
    }
    grants.slots[grants.count] = slot;
    grants.borrowed[grants.count] = borrowed;
    grants.ids[grants.count++] = id;
}

// A parallel worker is connected to no client; the client of its leader is in shared memory.
core::Client client_of_session() noexcept {
    const auto& own_client = pg::client();
    const SessionSlot* leader = leader_session();
    if (leader == nullptr || leader->client_pid.load() != pg::leader_pid()) return own_client;
    auto client = leader->client.load();
    client.database = own_client.database;
    return client;
}

// The conditions of a grant and the client of a session never change. They are therefore compared only once, here,
// and each statement only tests a pointer.
void check_conditions(EffectiveGrants& grants, const Slot& slot, std::uint64_t id) noexcept {
    const auto conditions = slot.conditions.load();
    if (!conditions.any()) return;
    const auto objection = core::objection(conditions, client_of_session());
    if (!objection) return;
    grants.unmet_condition = *objection;
    grants.unmet_condition_grant = id;
}

// Adds the grant of a temporary role. The slot of a grant that has ended is added too, so that the refusal says that
// the grant has ended. A role without a slot belongs to a grant that this server has not confirmed, or to one that
// ended long ago.
void add_grant_of_role(EffectiveGrants& grants, RoleId grant_role) {
    for (auto& slot : shared_state->used_slots()) {
        if (slot.role.load() != grant_role.oid) continue;
        const auto state = slot.state.load(std::memory_order_acquire);
        if (state != SlotState::live && state != SlotState::over) continue;
        const auto id = slot.id.load();
        add_slot(grants, &slot, id, false);
        check_conditions(grants, slot, id);
        return;
    }
    grants.quarantined = id_in_role_name(grant_role, core::quarantine_role_prefix);
    if (grants.quarantined != 0) return;
    grants.unconfirmed = id_in_role_name(grant_role, core::grant_role_prefix);
    if (grants.unconfirmed == 0) grants.stale_role = true;
}

void add_grants_of_set_role(EffectiveGrants& grants, RoleId user, RoleId marker) {
    const RoleId session = pg::session_user();
    if (user == session || user != pg::outer_user() || pg::is_superuser(session)) return;
    // The server lets a session keep a role that is no longer granted. It cannot be determined afterwards whether the
    // role was granted through a grant, so the session is refused in any case.
    grants.stale_role = !pg::is_member(session, user);
    if (grants.stale_role) return;
    if (is_grant_role(user, marker)) return;  // add_grants_of_memberships() finds its grant
    const bool is_gate = pg::role_name(user).value_or("").starts_with(core::gate_role_prefix);
    if (!is_gate && is_member_without_grant_role(session, user, marker)) return;
    // Objects created as this role would belong to the role instead of the grant, and would still do so after the end
    // of the grant.
    grants.refused_role = true;
    for (const RoleId role : pg::closure(session))
        if (is_grant_role(role, marker) && (pg::is_member(role, user) || pg::is_member(user, role)))
            add_grant_of_role(grants, role);
}

void add_grants_of_memberships(EffectiveGrants& grants, RoleId user, RoleId marker) {
    if (!pg::is_member(user, marker)) return;
    for (const RoleId role : pg::closure(user))
        if (is_grant_role(role, marker) && pg::has_inherited_privileges_of(user, role)) add_grant_of_role(grants, role);
}

enum class Holder : std::uint8_t { current_user, view_owner };

// The server checks no privileges of superusers, so they use no grant. SET ROLE does not apply to a view's owner.
EffectiveGrants resolve(RoleId user, Holder holder) {
    EffectiveGrants result;
    const auto marker = pg::find_role(core::marker_role);
    if (!marker || pg::is_superuser(user)) return result;
    add_grants_of_memberships(result, user, *marker);
    if (holder == Holder::current_user) add_grants_of_set_role(result, user, *marker);
    return result;
}

void set_borrower(EffectiveGrants& grants, RoleId user) noexcept {
    std::fill_n(grants.borrowed.begin(), grants.count, is_borrowed(user));
}

void set_names(EffectiveGrants& grants, RoleId user) {
    copy_name(grants.login, pg::role_name(pg::session_user()));
    copy_name(grants.role, pg::role_name(user));
}

bool is_empty(const EffectiveGrants& grants) noexcept {
    return grants.count == 0 && grants.unconfirmed == 0 && grants.quarantined == 0 && !grants.stale_role &&
           !grants.refused_role && !grants.too_many;
}

// A result is not cached if memberships changed while it was resolved. A result with an unconfirmed grant is not cached
// either, because the confirmation changes no catalog and so causes no invalidation.
bool may_be_cached(const EffectiveGrants& resolved, std::uint64_t before) noexcept {
    return generation == before && resolved.unconfirmed == 0;
}

// `invalidations`: signal_invalidations before the user was resolved. The key is stored before the counter is read
// again, so that a signal which arrives after that resets the cache itself.
void cache_no_grant_user(std::uint64_t user_key, std::uint32_t invalidations) noexcept {
    no_grant_user = user_key;
    if (signal_invalidations != invalidations) no_grant_user = 0;
}

// While the session is bound to a grant that has ended, that grant is its only effective one, regardless of what the
// user holds now, so that every statement is refused until the session has left the grant. Its slot may already belong
// to another grant, so an empty slot is used instead.
const EffectiveGrants* ended_bound_grant() {
    const auto id = session::ended_grant();
    if (id == 0) return nullptr;
    static Slot ended_slot;
    current = EffectiveGrants{.count = 1};
    current.slots[0] = &ended_slot;
    current.ids[0] = id;
    set_names(current, pg::current_user());
    return &current;
}

}  // namespace

const EffectiveGrants* current_grants() {
    pg::remember_signal_handlers();  // each process gets here before its first statement has run any code
    const auto user_key = pg::packed_user_ids();
    if (const auto session = pg::session_user().oid; session != cached_session_user) {
        invalidate();
        cached_session_user = session;
    }
    if (current.user_key == user_key) return &current;
    const auto invalidations = signal_invalidations.load();
    if (const auto* ended = ended_bound_grant()) return ended;
    if (std::find(recent_no_grant_users.begin(), recent_no_grant_users.end(), user_key) !=
        recent_no_grant_users.end()) {
        cache_no_grant_user(user_key, invalidations);
        return nullptr;
    }
    const RoleId user = pg::current_user();
    const auto before = generation;
    EffectiveGrants resolved = resolve(user, Holder::current_user);
    // If memberships changed during the resolution, the result may be outdated, so the next call resolves them again.
    if (is_empty(resolved) && generation != before) return nullptr;
    if (is_empty(resolved)) {
        cache_no_grant_user(user_key, invalidations);
        recent_no_grant_users[next_recent_user++ % recent_no_grant_users.size()] = user_key;
        return nullptr;
    }
    set_names(resolved, user);
    set_borrower(resolved, user);
    resolved.user_key = may_be_cached(resolved, before) ? user_key : 0;
    current = resolved;
    return &current;
}

const EffectiveGrants* cached_grants() noexcept {
    return current.user_key == pg::packed_user_ids() && pg::session_user().oid == cached_session_user ? &current
                                                                                                      : nullptr;
}

const EffectiveGrants& no_grants() {
    static EffectiveGrants none;
    copy_name(none.login, pg::login_name());
    copy_name(none.role, pg::login_name());
    return none;
}

const EffectiveGrants* grants_of_owner(RoleId owner) {
    // Shares recent_no_grant_users with current_grants(). The keys cannot collide: in the key of an owner the lower
    // half is 0, and in the key of a user it is the OID of a role.
    const auto key = std::uint64_t{owner.oid} << 32;
    if (owner_grants.user_key == key) return &owner_grants;
    if (std::find(recent_no_grant_users.begin(), recent_no_grant_users.end(), key) != recent_no_grant_users.end())
        return nullptr;
    const auto before = generation;
    EffectiveGrants resolved = resolve(owner, Holder::view_owner);
    if (is_empty(resolved) && generation != before) return nullptr;
    if (is_empty(resolved)) {
        recent_no_grant_users[next_recent_user++ % recent_no_grant_users.size()] = key;
        return nullptr;
    }
    set_names(resolved, owner);
    resolved.user_key = may_be_cached(resolved, before) ? key : 0;
    owner_grants = resolved;
    return &owner_grants;
}

namespace {

// The id of a grant that demands a second factor at the first use in a session, if this is the first use and the login
// has not stepped up; otherwise 0.
std::uint64_t grant_lacking_second_factor(const EffectiveGrants& grants) noexcept {
    for (std::uint32_t i = 0; i < grants.count; ++i)
        if (grants.slots[i]->steps_up.load(std::memory_order_relaxed) && !session::is_bound_to(grants.ids[i]) &&
            !second_factor_state::has_stepped_up_from_here())
            return grants.ids[i];
    return 0;
}

}  // namespace

Access evaluate_access(const EffectiveGrants& grants, pg::Moment at) noexcept {
    if (grants.quarantined != 0) return Access::quarantined;
    if (grants.stale_role) return Access::stale_role;
    if (grants.too_many) return Access::too_many;
    if (grants.unconfirmed != 0) return Access::unconfirmed;
    for (std::uint32_t i = 0; i < grants.count; ++i) {
        const Slot& slot = *grants.slots[i];
        if (!is_live(slot, at) || slot.id.load() != grants.ids[i]) return Access::grant_over;
    }
    if (grants.refused_role) return Access::refused_role;
    const bool is_bound = session::is_bound_exactly_to(grants);
    if (!is_bound && session::ended_grant(at) != 0) return Access::grant_over;
    if (grants.unmet_condition != nullptr) return Access::condition_unmet;
    // The number of grants and the second factor were checked when the session was bound.
    if (is_bound) return Access::allowed;
    if (!session::has_room_for(grants)) return Access::too_many;
    return grant_lacking_second_factor(grants) != 0 ? Access::second_factor_missing : Access::allowed;
}

EffectiveGrants without_grants(const EffectiveGrants& named) noexcept {
    EffectiveGrants empty;
    std::memcpy(empty.login, named.login, sizeof empty.login);
    std::memcpy(empty.role, named.role, sizeof empty.role);
    return empty;
}

void merge_grants(EffectiveGrants& into, const EffectiveGrants& other, RoleId owner) noexcept {
    into.serial = ++last_serial;
    into.stale_role |= other.stale_role;
    into.refused_role |= other.refused_role;
    into.too_many |= other.too_many;
    if (other.unconfirmed != 0) into.unconfirmed = other.unconfirmed;
    if (other.quarantined != 0) into.quarantined = other.quarantined;
    if (other.unmet_condition != nullptr) {
        into.unmet_condition = other.unmet_condition;
        into.unmet_condition_grant = other.unmet_condition_grant;
    }
    const bool borrowed = is_borrowed(owner);
    for (std::uint32_t i = 0; i < other.count; ++i) add_slot(into, other.slots[i], other.ids[i], borrowed);
}

bool is_borrowed(RoleId user) noexcept { return user != pg::session_user() && user != pg::outer_user(); }

bool is_maintained_by_other() noexcept { return pg::is_in_restricted_operation() && is_borrowed(pg::current_user()); }

void refuse(const EffectiveGrants& grants, Access access) {
    if (access == Access::condition_unmet)
        throw Failure(
            Code::not_from_here, "grant " + std::to_string(grants.unmet_condition_grant) + " cannot be used from here",
            grants.unmet_condition, "Use it from where its template allows it; leave its role with RESET ROLE.");
    shared_state->counters.late_refusals.fetch_add(1, std::memory_order_relaxed);
    switch (access) {
        case Access::unconfirmed:
            throw Failure(
                Code::grant_unconfirmed, "grant " + std::to_string(grants.unconfirmed) + " is not confirmed",
                "The running server has not yet read this grant from its tables, or it was ended.",
                "Try again in a moment; if it persists, ask an administrator to look at jit_access.active_grants.");
        case Access::quarantined:
            throw Failure(Code::guarded,
                          "what grant " + std::to_string(grants.quarantined) + " has left is quarantined",
                          "The grant has ended; a view, function or table that was made under it would run with the "
                          "privileges of its owner.",
                          "A DBA has to examine it, then drop it or give it another owner; "
                          "jit_access.quarantine lists it.");
        case Access::stale_role:
            throw Failure(Code::grant_over, "the role of this session is no longer granted",
                          "SET ROLE chose it while a grant allowed that; the grant has ended.",
                          "RESET ROLE, or reconnect.");
        case Access::refused_role:
            throw Failure(
                Code::guarded,
                std::string("role \"") + grants.role + "\" cannot be used by a session that has it by a grant",
                "What is made as this role would belong to it and outlive the grant.",
                "SET ROLE NONE; of the roles that a grant reaches, only jit_grant_" +
                    std::to_string(grants.count > 0 ? grants.ids[0] : grants.unconfirmed) +
                    " can be used with SET ROLE.");
        case Access::too_many:
            throw Failure(
                Code::limit_exceeded, "too many grants are in force in this session",
                "A session can use at most " + std::to_string(core::max_session_grants) + " grants at a time.",
                "End some of them with jit_revoke.");
        case Access::second_factor_missing:
            throw Failure(Code::second_factor_required, "a second factor is required",
                          "Grant " + std::to_string(grant_lacking_second_factor(grants)) +
                              " demands it at its first use in a session, and this one has not stepped up.",
                          "Call SELECT jit_step_up($1) with a code of your authenticator, here or in another session "
                          "from the same address, in database \"" +
                              std::string(settings::database) + "\".");
        default: break;
    }
    const auto now = pg::both_clocks();
    std::uint64_t id = grants.ids[0];
    RoleId holder;
    for (std::uint32_t i = 0; i < grants.count; ++i)
        if (!is_live(*grants.slots[i], now)) {
            id = grants.ids[i];
            holder = {grants.slots[i]->requester.load()};
        }
    // The grant is another user's: a view or a SECURITY DEFINER function lends its privileges.
    if (holder && holder != pg::session_user() && session::ended_grant() == 0 &&
        !std::string_view(grants.login).starts_with(core::login_role_prefix))
        throw Failure(Code::grant_over, "grant " + std::to_string(id) + " has ended",
                      "A view or function that was made under this grant of another user runs with its privileges.",
                      "Try again in a moment: it is being given another owner, or quarantined.");
    if (const auto ended = session::ended_grant(); ended != 0) id = ended;
    session::schedule_release();
    throw Failure(Code::grant_over, "grant " + std::to_string(id) + " has ended",
                  "Its deadline has passed or it was revoked; its privileges are being removed.",
                  "Ask again with jit_request if you still need it.");
}

bool may_act_as_grant_role() {
    const auto marker = pg::find_role(core::marker_role);
    const RoleId session = pg::session_user();
    return marker && !pg::is_superuser(session) &&
           (pg::is_member(session, *marker) || pg::is_member(pg::current_user(), *marker));
}

bool is_grant_role(RoleId role) {
    const auto marker = pg::find_role(core::marker_role);
    return marker && is_grant_role(role, *marker);
}

bool is_member_without_grant(RoleId member, RoleId role) {
    const auto marker = pg::find_role(core::marker_role);
    return marker && is_member_without_grant_role(member, role, *marker);
}

bool is_session_member_without_grant(RoleId role) { return is_member_without_grant(pg::session_user(), role); }

void publish_client(const core::Client& client) noexcept {
    if (shared_state == nullptr) return;
    auto& session_slot = own_session();
    session_slot.start.store(pg::session_start());
    session_slot.client.store(client);
    second_factor_state::publish_session();
    session_slot.client_pid.store(pg::backend_pid());
}

std::uint64_t membership_generation() noexcept { return generation; }

void invalidate() noexcept {
    ++generation;
    no_grant_user = 0;
    recent_no_grant_users.fill(0);
    current.user_key = 0;
    owner_grants.user_key = 0;
}

void invalidate_from_signal() noexcept {
    ++signal_invalidations;
    no_grant_user = 0;
}

}  // namespace jit::enforcement
