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
#include "jit_access/shared/second_factor_state.hpp"

namespace jit::enforcement {

std::atomic<std::uint64_t> plain = 0;
std::uint32_t whose = 0;

namespace {

using core::Code;
using core::Failure;
using pg::RoleId;

EffectiveGrants current;
std::uint64_t generation = 0;  // of what is known: counts changes of memberships
EffectiveGrants lender;        // the owner of a view that was read last

// Users found plain of late: referential checks and SECURITY DEFINER functions switch to and fro.
std::array<std::uint64_t, 16> recently_plain{};
std::size_t next_recent = 0;

// Counts what a signal handler wants looked at again.
std::atomic<std::uint32_t> looks = 0;

void copy_name(char (&to)[64], const std::optional<std::string>& name) noexcept {
    std::memset(to, 0, sizeof to);
    if (name) name->copy(to, sizeof to - 1);
}

// What stands without any grant: the closure without stepping into a grant's role.
bool reaches_without_grant(RoleId from, RoleId to, RoleId marker) {
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
    const auto of = pg::memberships(role);
    return std::find(of.begin(), of.end(), marker) != of.end();
}

std::uint64_t id_of(RoleId grant_role) {
    const auto name = pg::role_name(grant_role).value_or("");
    std::uint64_t id = 0;
    if (name.starts_with(core::grant_role_prefix))
        std::from_chars(name.data() + core::grant_role_prefix.size(), name.data() + name.size(), id);
    return id;
}

// Each grant once.
void add(EffectiveGrants& grants, Slot* slot, std::uint64_t id) noexcept {
    const auto end = grants.ids.begin() + grants.count;
    if (std::find(grants.ids.begin(), end, id) != end) return;
    if (grants.count == core::max_session_grants) {
        grants.too_many = true;
        return;
    }
    grants.slots[grants.count] = slot;
    grants.ids[grants.count++] = id;
}

// A parallel worker has that of its leader.
core::Client client_of_session() noexcept {
    const auto& mine = pg::client();
    const auto& leader = shared_state->sessions()[pg::leader_number()];
    if (pg::leader_pid() == pg::backend_pid() || leader.client_pid.load() != pg::leader_pid()) return mine;
    auto client = leader.client.load();
    client.database = mine.database;
    return client;
}

// Neither the conditions of a grant nor the client of a session change, so this is asked once.
void look_at_conditions(EffectiveGrants& grants, const Slot& slot, std::uint64_t id) noexcept {
    const auto conditions = slot.conditions.load();
    if (!conditions.any()) return;
    const auto objection = core::objection(conditions, client_of_session());
    if (!objection) return;
    grants.not_from_here = *objection;
    grants.kept_from = id;
}

void add(EffectiveGrants& grants, RoleId grant_role) {
    for (auto& slot : shared_state->used_slots()) {
        if (slot.role.load() != grant_role.oid) continue;
        const auto state = slot.state.load(std::memory_order_acquire);
        if (state != SlotState::live && state != SlotState::over) continue;
        const auto id = slot.id.load();
        add(grants, &slot, id);
        look_at_conditions(grants, slot, id);
        return;
    }
    grants.unconfirmed = id_of(grant_role);
    if (grants.unconfirmed == 0) grants.stale_role = true;
}

void look_at_chosen_role(EffectiveGrants& grants, RoleId user, RoleId marker) {
    const RoleId session = pg::session_user();
    if (user == session || user != pg::outer_user() || pg::is_superuser(session)) return;
    // The server lets a session keep a role that is not granted any more. Which way it was granted cannot be told
    // afterwards, so it is refused whoever took it away.
    grants.stale_role = !pg::is_member(session, user);
    if (grants.stale_role) return;
    if (reaches_without_grant(session, user, marker)) return;
    for (const RoleId role : pg::closure(session))
        if (is_grant_role(role, marker) && pg::is_member(role, user)) add(grants, role);
}

void look_at_memberships(EffectiveGrants& grants, RoleId user, RoleId marker) {
    if (!pg::is_member(user, marker)) return;
    for (const RoleId role : pg::closure(user))
        if (is_grant_role(role, marker) && pg::has_inherited_privileges_of(user, role)) add(grants, role);
}

EffectiveGrants resolve(RoleId user, bool is_current) {
    EffectiveGrants result;
    const auto marker = pg::find_role(core::marker_role);
    if (!marker || pg::is_superuser(user)) return result;
    look_at_memberships(result, user, *marker);
    if (is_current) look_at_chosen_role(result, user, *marker);
    return result;
}

void name_people(EffectiveGrants& grants, RoleId user) {
    copy_name(grants.login, pg::role_name(pg::session_user()));
    copy_name(grants.role, pg::role_name(user));
}

bool holds_nothing(const EffectiveGrants& grants) noexcept {
    return grants.count == 0 && grants.unconfirmed == 0 && !grants.stale_role && !grants.too_many;
}

// Nothing announces that a grant has been confirmed.
bool may_be_kept(const EffectiveGrants& found, std::uint64_t before) noexcept {
    return generation == before && found.unconfirmed == 0;
}

void conclude_plain(std::uint64_t who, std::uint32_t seen) noexcept {
    plain = who;
    if (looks != seen) plain = 0;
}

// A session in debt stands on the grant that it relies on and that is over, whatever its user holds now.
const EffectiveGrants* in_debt() {
    const auto id = session::debt();
    if (id == 0) return nullptr;
    static Slot gone;
    current = EffectiveGrants{.count = 1};
    current.slots[0] = &gone;
    current.ids[0] = id;
    name_people(current, pg::current_user());
    return &current;
}

}  // namespace

const EffectiveGrants* current_grants() {
    const auto who = pg::packed_user_ids();
    if (const auto session = pg::session_user().oid; session != whose) {
        invalidate();
        whose = session;
    }
    if (current.who == who) return &current;
    const auto seen = looks.load();
    if (const auto* indebted = in_debt()) return indebted;
    if (std::find(recently_plain.begin(), recently_plain.end(), who) != recently_plain.end()) {
        conclude_plain(who, seen);
        return nullptr;
    }
    const RoleId user = pg::current_user();
    const auto before = generation;
    EffectiveGrants found = resolve(user, true);
    // What changed while it was looked at is looked at again next time.
    if (holds_nothing(found) && generation != before) return nullptr;
    if (holds_nothing(found)) {
        conclude_plain(who, seen);
        recently_plain[next_recent++ % recently_plain.size()] = who;
        return nullptr;
    }
    name_people(found, user);
    found.who = may_be_kept(found, before) ? who : 0;
    current = found;
    return &current;
}

const EffectiveGrants* cached_grants() noexcept {
    return current.who == pg::packed_user_ids() && pg::session_user().oid == whose ? &current : nullptr;
}

const EffectiveGrants& without_grant() {
    static EffectiveGrants none;
    copy_name(none.login, pg::login_name());
    copy_name(none.role, pg::login_name());
    return none;
}

const EffectiveGrants* grants_of_owner(RoleId owner) {
    // An owner is not who() anybody is: no session has the role 0.
    const auto key = std::uint64_t{owner.oid} << 32;
    if (lender.who == key) return &lender;
    if (std::find(recently_plain.begin(), recently_plain.end(), key) != recently_plain.end()) return nullptr;
    const auto before = generation;
    EffectiveGrants found = resolve(owner, false);
    if (holds_nothing(found) && generation != before) return nullptr;
    if (holds_nothing(found)) {
        recently_plain[next_recent++ % recently_plain.size()] = key;
        return nullptr;
    }
    name_people(found, owner);
    found.who = may_be_kept(found, before) ? key : 0;
    lender = found;
    return &lender;
}

namespace {

// The id of a grant that demands one at its first use in a session, which this would be; or 0. What a parallel worker
// runs, its leader was asked for.
std::uint64_t lacks_second_factor(const EffectiveGrants& grants) noexcept {
    for (std::uint32_t i = 0; i < grants.count; ++i)
        if (grants.slots[i]->steps_up.load(std::memory_order_relaxed) && !session::relies_on(grants.ids[i]) &&
            !pg::is_parallel_worker() && !second_factor_state::has_stepped_up_from_here())
            return grants.ids[i];
    return 0;
}

}  // namespace

Access judge(const EffectiveGrants& grants, pg::Moment at) noexcept {
    if (grants.stale_role) return Access::stale_role;
    if (grants.too_many) return Access::too_many;
    if (grants.unconfirmed != 0) return Access::unconfirmed;
    for (std::uint32_t i = 0; i < grants.count; ++i) {
        const Slot& slot = *grants.slots[i];
        if (!is_live(slot, at) || slot.id.load() != grants.ids[i]) return Access::over;
    }
    const bool relied = session::relies_on_exactly(grants);
    if (!relied && session::debt(at) != 0) return Access::over;
    if (grants.not_from_here != nullptr) return Access::not_from_here;
    // There was room for them, and the second factor was asked for, when it came to rely on them.
    if (relied) return Access::allowed;
    if (!session::has_room_for(grants)) return Access::too_many;
    return lacks_second_factor(grants) != 0 ? Access::second_factor : Access::allowed;
}

void join(EffectiveGrants& into, const EffectiveGrants& other) noexcept {
    into.number = ++numbers_given;
    into.stale_role |= other.stale_role;
    into.too_many |= other.too_many;
    if (other.unconfirmed != 0) into.unconfirmed = other.unconfirmed;
    if (other.not_from_here != nullptr) {
        into.not_from_here = other.not_from_here;
        into.kept_from = other.kept_from;
    }
    for (std::uint32_t i = 0; i < other.count; ++i) add(into, other.slots[i], other.ids[i]);
}

void refuse(const EffectiveGrants& grants, Access access) {
    if (access == Access::not_from_here)
        throw Failure(Code::not_from_here, "grant " + std::to_string(grants.kept_from) + " cannot be used from here",
                      grants.not_from_here,
                      "Use it where and how its template allows; a role that was chosen is left with RESET ROLE.");
    shared_state->counters.late_refusals.fetch_add(1, std::memory_order_relaxed);
    switch (access) {
        case Access::unconfirmed:
            throw Failure(
                Code::grant_unconfirmed, "grant " + std::to_string(grants.unconfirmed) + " is not confirmed",
                "The running server has not yet read this grant from its tables, or it was ended.",
                "Try again in a moment; if it persists, ask an administrator to look at jit_access.active_grants.");
        case Access::stale_role:
            throw Failure(Code::grant_over, "the role of this session is not granted any more",
                          "SET ROLE chose it while a grant allowed that; the grant has ended.",
                          "RESET ROLE, or reconnect.");
        case Access::too_many:
            throw Failure(
                Code::limit_exceeded, "too many grants are in force in this session",
                "A session can use at most " + std::to_string(core::max_session_grants) + " grants at a time.",
                "Give some of them back with jit_revoke.");
        case Access::second_factor:
            throw Failure(Code::second_factor_required, "a second factor is required",
                          "Grant " + std::to_string(lacks_second_factor(grants)) +
                              " demands it at its first use in a session, and this one has not stepped up.",
                          "Call SELECT jit_step_up($1) with a code of your authenticator, here or in another session "
                          "from the same address, in database \"" +
                              std::string(settings::database) + "\".");
        default: break;
    }
    const auto now = pg::both_clocks();
    std::uint64_t id = grants.ids[0];
    for (std::uint32_t i = 0; i < grants.count; ++i)
        if (!is_live(*grants.slots[i], now)) id = grants.ids[i];
    if (const auto debt = session::debt(); debt != 0) id = debt;
    session::settle_soon();
    throw Failure(Code::grant_over, "grant " + std::to_string(id) + " has ended",
                  "Its deadline has passed or it was revoked; its privileges are being removed.",
                  "Ask again with jit_request if you still need it.");
}

bool may_act_as_granted() {
    const auto marker = pg::find_role(core::marker_role);
    const RoleId session = pg::session_user();
    return marker && !pg::is_superuser(session) &&
           (pg::is_member(session, *marker) || pg::is_member(pg::current_user(), *marker));
}

bool is_grant_role(RoleId role) {
    const auto marker = pg::find_role(core::marker_role);
    return marker && is_grant_role(role, *marker);
}

bool reaches_without_grant(RoleId role) {
    const auto marker = pg::find_role(core::marker_role);
    return marker && reaches_without_grant(pg::session_user(), role, *marker);
}

void note_client(const core::Client& client) noexcept {
    if (shared_state == nullptr) return;
    auto& mine = shared_state->sessions()[pg::backend_number()];
    mine.client.store(client);
    mine.client_pid.store(pg::backend_pid());
}

std::uint64_t changes() noexcept { return generation; }

void invalidate() noexcept {
    ++generation;
    plain = 0;
    recently_plain.fill(0);
    current.who = 0;
    lender.who = 0;
}

void look_again() noexcept {
    ++looks;
    plain = 0;
}

}  // namespace jit::enforcement
