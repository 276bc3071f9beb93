#include "jit_access/enforce.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>

#include "jit_access/audit.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/callbacks.hpp"
#include "jit_access/pg/clock.hpp"

namespace jit::enforce {

std::uint64_t plain = 0;

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

bool transaction_relies = false;  // on the grants noted in the session's slot

SessionSlot* mine = nullptr;  // this session's entry, from the first use of a grant until it ends

void copy_name(char (&to)[64], const std::optional<std::string>& name) noexcept {
    std::memset(to, 0, sizeof to);
    if (name) name->copy(to, sizeof to - 1);
}

// Every role reachable from one, itself included, whether inherited or not.
std::vector<RoleId> closure(RoleId from) {
    std::vector<RoleId> roles{from};
    for (std::size_t i = 0; i < roles.size(); ++i)
        for (const RoleId next : pg::memberships(roles[i]))
            if (std::find(roles.begin(), roles.end(), next) == roles.end()) roles.push_back(next);
    return roles;
}

// The same without stepping into a grant's role: what stands without any grant.
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

void add(Standing& standing, RoleId grant_role) {
    for (auto& slot : board->used_slots()) {
        if (slot.role.load() != grant_role.oid) continue;
        const auto state = slot.state.load(std::memory_order_acquire);
        if (state != SlotState::live && state != SlotState::over) continue;
        if (std::find(standing.slots.begin(), standing.slots.begin() + standing.count, &slot) !=
            standing.slots.begin() + standing.count)
            return;
        if (standing.count == core::most_grants) {
            standing.too_many = true;
            return;
        }
        standing.slots[standing.count] = &slot;
        standing.ids[standing.count++] = slot.id.load();
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
    for (const RoleId role : closure(session))
        if (is_grant_role(role, marker) && pg::is_member(role, user)) add(standing, role);
}

void look_at_memberships(Standing& standing, RoleId user, RoleId marker) {
    if (!pg::is_member(user, marker)) return;
    for (const RoleId role : closure(user))
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

// The grants this session relies on, as far as they could be noted.
template <class Visit>
void for_each_used(Visit&& visit) noexcept {
    if (mine == nullptr) return;
    const auto count = std::min<std::uint32_t>(mine->used_count.load(), core::most_grants);
    for (std::uint32_t i = 0; i < count; ++i) visit(mine->used[i].load());
}

bool is_live(std::uint64_t id, std::int64_t wall, std::int64_t boot) noexcept {
    const Slot* slot = find_slot(id);
    return slot != nullptr && slot->state.load() == SlotState::live && !is_past(*slot, wall, boot);
}

// Of the used grants that is over, or 0.
std::uint64_t used_and_over() noexcept {
    const auto wall = pg::wall_clock();
    const auto boot = pg::boot_clock();
    std::uint64_t over = 0;
    for_each_used([&](std::uint64_t id) {
        if (!is_live(id, wall, boot)) over = id;
    });
    return over;
}

std::int64_t first_deadline() noexcept {
    auto first = std::numeric_limits<std::int64_t>::max();
    for_each_used([&](std::uint64_t id) {
        if (const Slot* slot = find_slot(id)) first = std::min(first, slot->ends_wall.load());
    });
    return first;
}

void arm() noexcept;

// Signal handler: only atomics, kill() and the timer.
void at_deadline() {
    if (mine == nullptr) return;
    if (used_and_over() != 0)
        pg::end_session(pg::backend_pid());
    else
        arm();  // it was extended meanwhile
}

// An error in the session disables every timer, and an extension moves the deadline: so this is asked each time.
void arm() noexcept {
    static std::int64_t armed_for = 0;
    const auto deadline = first_deadline();
    if (deadline == std::numeric_limits<std::int64_t>::max()) return;
    if (deadline == armed_for && pg::deadline_timer_armed()) return;
    pg::arm_deadline_timer(deadline, at_deadline);
    armed_for = deadline;
}

void note_use(std::uint64_t id) noexcept {
    const auto count = mine->used_count.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < std::min<std::uint32_t>(count, core::most_grants); ++i)
        if (mine->used[i].load(std::memory_order_relaxed) == id) return;
    if (count < core::most_grants) mine->used[count].store(id);
    mine->used_count.store(count + 1, std::memory_order_release);
}

}  // namespace

const Standing* standing() {
    const auto who = pg::who();
    if (current.who == who) return &current;
    if (std::find(recently_plain.begin(), recently_plain.end(), who) != recently_plain.end()) {
        plain = who;
        return nullptr;
    }
    const RoleId user = pg::current_user();
    const auto before = generation;
    Standing found = resolve(user, true);
    // What changed while it was looked at is looked at again next time.
    if (holds_nothing(found) && generation != before) return nullptr;
    if (holds_nothing(found)) {
        plain = who;
        recently_plain[next_recent++ % recently_plain.size()] = who;
        return nullptr;
    }
    name_people(found, user);
    found.who = generation == before ? who : 0;
    current = found;
    return &current;
}

const Standing* known_standing() noexcept { return current.who == pg::who() ? &current : nullptr; }

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
    found.who = generation == before ? key : 0;
    lender = found;
    return &lender;
}

Verdict judge(const Standing& standing, std::int64_t wall, std::int64_t boot) noexcept {
    if (standing.stale_role) return Verdict::stale_role;
    if (standing.too_many) return Verdict::too_many;
    if (standing.unconfirmed != 0) return Verdict::unconfirmed;
    for (std::uint32_t i = 0; i < standing.count; ++i) {
        const Slot& slot = *standing.slots[i];
        if (slot.state.load(std::memory_order_acquire) != SlotState::live || slot.id.load() != standing.ids[i] ||
            is_past(slot, wall, boot))
            return Verdict::over;
    }
    return Verdict::allowed;
}

void rely_on(const Standing& standing) {
    if (mine == nullptr) {
        pg::when_session_ends(leave);
        mine = &board->sessions()[pg::backend_number()];
        mine->used_count.store(0);
        mine->start.store(pg::session_start());
        mine->pid.store(pg::backend_pid());
    }
    for (std::uint32_t i = 0; i < standing.count; ++i) note_use(standing.ids[i]);
    transaction_relies = true;
    arm();
}

void join(Standing& into, const Standing& other) noexcept {
    into.stale_role |= other.stale_role;
    into.too_many |= other.too_many;
    if (other.unconfirmed != 0) into.unconfirmed = other.unconfirmed;
    for (std::uint32_t i = 0; i < other.count; ++i) {
        const auto end = into.ids.begin() + into.count;
        if (std::find(into.ids.begin(), end, other.ids[i]) != end) continue;
        if (into.count == core::most_grants) {
            into.too_many = true;
            return;
        }
        into.slots[into.count] = other.slots[i];
        into.ids[into.count++] = other.ids[i];
    }
}

bool relies_on_what_is_over(const Standing& standing) noexcept {
    const auto wall = pg::wall_clock();
    const auto boot = pg::boot_clock();
    bool relies = false;
    for_each_used([&](std::uint64_t id) {
        const auto end = standing.ids.begin() + standing.count;
        relies |= std::find(standing.ids.begin(), end, id) != end && !is_live(id, wall, boot);
    });
    return relies;
}

void refuse(const Standing& standing, Verdict verdict) {
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
        default: break;
    }
    std::uint64_t id = standing.ids[0];
    for (std::uint32_t i = 0; i < standing.count; ++i)
        if (standing.slots[i]->state.load() != SlotState::live ||
            is_past(*standing.slots[i], pg::wall_clock(), pg::boot_clock()))
            id = standing.ids[i];
    throw Failure(Code::grant_over, "grant " + std::to_string(id) + " has ended",
                  "Its deadline has passed or it was revoked; its privileges are being removed.",
                  "Ask again with jit_request if you still need it.");
}

void check_commit() {
    if (!transaction_relies || !pg::has_written()) return;
    const auto over = used_and_over();
    if (over == 0) return;
    throw Failure(Code::grant_over, "grant " + std::to_string(over) + " has ended",
                  "What this transaction did under the grant cannot be committed after its end.",
                  "Ask again with jit_request if you still need it.");
}

void check_prepare() {
    if (!transaction_relies) return;
    throw Failure(Code::guarded, "a transaction that used a grant cannot be prepared",
                  "It could be committed after the grant's end.", "Use COMMIT.");
}

void forget_transaction() noexcept { transaction_relies = false; }

void after_error() noexcept {
    if (mine != nullptr) arm();
}

void give_back(std::uint64_t id) noexcept {
    if (mine == nullptr || pg::outer_user() != pg::session_user() || pg::has_open_cursors()) return;
    const auto count = mine->used_count.load();
    if (count > core::most_grants) return;
    for (std::uint32_t i = 0; i < count; ++i) {
        if (mine->used[i].load() != id) continue;
        mine->used[i].store(mine->used[count - 1].load());
        mine->used_count.store(count - 1);
        return;
    }
}

bool may_act_as_granted() {
    const auto marker = pg::find_role(core::marker_role);
    const RoleId session = pg::session_user();
    return marker && !pg::is_superuser(session) &&
           (pg::is_member(session, *marker) || pg::is_member(pg::current_user(), *marker));
}

void invalidate() noexcept {
    ++generation;
    plain = 0;
    recently_plain.fill(0);
    current.who = 0;
    lender.who = 0;
}

void leave() noexcept {
    audit::interrupt_all();
    SessionSlot* const gone = std::exchange(mine, nullptr);  // before the timer could fire into what is torn down
    pg::disarm_deadline_timer();
    if (gone != nullptr) gone->pid.store(0);
}

}  // namespace jit::enforce
