#include "jit_access/enforce.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/callbacks.hpp"
#include "jit_access/pg/client.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/session.hpp"
#include "jit_access/settings.hpp"
#include "jit_access/step_up.hpp"

namespace jit::enforce {

std::atomic<std::uint64_t> plain = 0;
std::uint32_t whose = 0;

namespace {

using core::Code;
using core::Failure;
using pg::RoleId;

Standing current;
std::uint64_t generation = 0;  // of what is known: counts changes of memberships
Standing lender;               // the owner of a view that was read last

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
void add(Standing& standing, Slot* slot, std::uint64_t id) noexcept {
    const auto end = standing.ids.begin() + standing.count;
    if (std::find(standing.ids.begin(), end, id) != end) return;
    if (standing.count == core::most_grants) {
        standing.too_many = true;
        return;
    }
    standing.slots[standing.count] = slot;
    standing.ids[standing.count++] = id;
}

// A parallel worker has that of its leader.
core::Client client_of_session() noexcept {
    const auto& mine = pg::client();
    const auto& leader = board->sessions()[pg::leader_number()];
    if (pg::leader_pid() == pg::backend_pid() || leader.client_pid.load() != pg::leader_pid()) return mine;
    auto client = leader.client.load();
    client.database = mine.database;
    return client;
}

// Neither the conditions of a grant nor the client of a session change, so this is asked once.
void look_at_conditions(Standing& standing, const Slot& slot, std::uint64_t id) noexcept {
    const auto conditions = slot.conditions.load();
    if (!conditions.any()) return;
    const auto objection = core::objection(conditions, client_of_session());
    if (!objection) return;
    standing.not_from_here = *objection;
    standing.kept_from = id;
}

void add(Standing& standing, RoleId grant_role) {
    for (auto& slot : board->used_slots()) {
        if (slot.role.load() != grant_role.oid) continue;
        const auto state = slot.state.load(std::memory_order_acquire);
        if (state != SlotState::live && state != SlotState::over) continue;
        const auto id = slot.id.load();
        add(standing, &slot, id);
        look_at_conditions(standing, slot, id);
        return;
    }
    standing.unconfirmed = id_of(grant_role);
    if (standing.unconfirmed == 0) standing.stale_role = true;
}

void look_at_chosen_role(Standing& standing, RoleId user, RoleId marker) {
    const RoleId session = pg::session_user();
    if (user == session || user != pg::outer_user() || pg::is_superuser(session)) return;
    // The server lets a session keep a role that is not granted any more. Which way it was granted cannot be told
    // afterwards, so it is refused whoever took it away.
    standing.stale_role = !pg::is_member(session, user);
    if (standing.stale_role) return;
    if (reaches_without_grant(session, user, marker)) return;
    for (const RoleId role : pg::closure(session))
        if (is_grant_role(role, marker) && pg::is_member(role, user)) add(standing, role);
}

void look_at_memberships(Standing& standing, RoleId user, RoleId marker) {
    if (!pg::is_member(user, marker)) return;
    for (const RoleId role : pg::closure(user))
        if (is_grant_role(role, marker) && pg::uses_privileges_of(user, role)) add(standing, role);
}

Standing resolve(RoleId user, bool is_current) {
    Standing result;
    const auto marker = pg::find_role(core::marker_role);
    if (!marker || pg::is_superuser(user)) return result;
    look_at_memberships(result, user, *marker);
    if (is_current) look_at_chosen_role(result, user, *marker);
    return result;
}

void name_people(Standing& standing, RoleId user) {
    copy_name(standing.login, pg::role_name(pg::session_user()));
    copy_name(standing.role, pg::role_name(user));
}

bool holds_nothing(const Standing& standing) noexcept {
    return standing.count == 0 && standing.unconfirmed == 0 && !standing.stale_role && !standing.too_many;
}

// Nothing announces that a grant has been confirmed.
bool may_be_kept(const Standing& found, std::uint64_t before) noexcept {
    return generation == before && found.unconfirmed == 0;
}

void conclude_plain(std::uint64_t who, std::uint32_t seen) noexcept {
    plain = who;
    if (looks != seen) plain = 0;
}

// A session in debt stands on the grant that it relies on and that is over, whatever its user holds now.
const Standing* in_debt() {
    const auto id = session::debt();
    if (id == 0) return nullptr;
    static Slot gone;
    current = Standing{.count = 1};
    current.slots[0] = &gone;
    current.ids[0] = id;
    name_people(current, pg::current_user());
    return &current;
}

}  // namespace

const Standing* standing() {
    const auto who = pg::who();
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
    Standing found = resolve(user, true);
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

const Standing* known_standing() noexcept {
    return current.who == pg::who() && pg::session_user().oid == whose ? &current : nullptr;
}

const Standing& without_grant() {
    static Standing none;
    copy_name(none.login, pg::login_name());
    copy_name(none.role, pg::login_name());
    return none;
}

const Standing* standing_of_owner(RoleId owner) {
    // An owner is not who() anybody is: no session has the role 0.
    const auto key = std::uint64_t{owner.oid} << 32;
    if (lender.who == key) return &lender;
    if (std::find(recently_plain.begin(), recently_plain.end(), key) != recently_plain.end()) return nullptr;
    const auto before = generation;
    Standing found = resolve(owner, false);
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
std::uint64_t lacks_second_factor(const Standing& standing) noexcept {
    for (std::uint32_t i = 0; i < standing.count; ++i)
        if (standing.slots[i]->steps_up.load(std::memory_order_relaxed) && !session::relies_on(standing.ids[i]) &&
            !pg::is_parallel_worker() && !step_up::is_fresh_here())
            return standing.ids[i];
    return 0;
}

}  // namespace

Verdict judge(const Standing& standing, pg::Moment at) noexcept {
    if (standing.stale_role) return Verdict::stale_role;
    if (standing.too_many) return Verdict::too_many;
    if (standing.unconfirmed != 0) return Verdict::unconfirmed;
    for (std::uint32_t i = 0; i < standing.count; ++i) {
        const Slot& slot = *standing.slots[i];
        if (!still_lives(slot, at) || slot.id.load() != standing.ids[i]) return Verdict::over;
    }
    const bool relied = session::relies_on_exactly(standing);
    if (!relied && session::debt(at) != 0) return Verdict::over;
    if (standing.not_from_here != nullptr) return Verdict::not_from_here;
    // There was room for them, and the second factor was asked for, when it came to rely on them.
    if (relied) return Verdict::allowed;
    if (!session::has_room_for(standing)) return Verdict::too_many;
    return lacks_second_factor(standing) != 0 ? Verdict::second_factor : Verdict::allowed;
}

void join(Standing& into, const Standing& other) noexcept {
    into.number = ++standings_made;
    into.stale_role |= other.stale_role;
    into.too_many |= other.too_many;
    if (other.unconfirmed != 0) into.unconfirmed = other.unconfirmed;
    if (other.not_from_here != nullptr) {
        into.not_from_here = other.not_from_here;
        into.kept_from = other.kept_from;
    }
    for (std::uint32_t i = 0; i < other.count; ++i) add(into, other.slots[i], other.ids[i]);
}

void refuse(const Standing& standing, Verdict verdict) {
    if (verdict == Verdict::not_from_here)
        throw Failure(Code::not_from_here, "grant " + std::to_string(standing.kept_from) + " cannot be used from here",
                      standing.not_from_here,
                      "Use it where and how its template allows; a role that was chosen is left with RESET ROLE.");
    board->counters.late_refusals.fetch_add(1, std::memory_order_relaxed);
    switch (verdict) {
        case Verdict::unconfirmed:
            throw Failure(
                Code::grant_unconfirmed, "grant " + std::to_string(standing.unconfirmed) + " is not confirmed",
                "The running server has not yet read this grant from its tables, or it was ended.",
                "Try again in a moment; if it persists, ask an administrator to look at jit_access.active_grants.");
        case Verdict::stale_role:
            throw Failure(Code::grant_over, "the role of this session is not granted any more",
                          "SET ROLE chose it while a grant allowed that; the grant has ended.",
                          "RESET ROLE, or reconnect.");
        case Verdict::too_many:
            throw Failure(Code::limit_exceeded, "too many grants are in force in this session",
                          "A session can use at most " + std::to_string(core::most_grants) + " grants at a time.",
                          "Give some of them back with jit_revoke.");
        case Verdict::second_factor:
            throw Failure(Code::second_factor_required, "a second factor is required",
                          "Grant " + std::to_string(lacks_second_factor(standing)) +
                              " demands it at its first use in a session, and this one has not stepped up.",
                          "Call SELECT jit_step_up($1) with a code of your authenticator, here or in another session "
                          "from the same address, in database \"" +
                              std::string(settings::database) + "\".");
        default: break;
    }
    const auto now = pg::both_clocks();
    std::uint64_t id = standing.ids[0];
    for (std::uint32_t i = 0; i < standing.count; ++i)
        if (!still_lives(*standing.slots[i], now)) id = standing.ids[i];
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
    if (board == nullptr) return;
    auto& mine = board->sessions()[pg::backend_number()];
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

}  // namespace jit::enforce
