#include "jit_access/enforce.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

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
Standing lender;  // the owner of a view that was read last

// Users found plain of late: referential checks and SECURITY DEFINER functions switch to and fro.
std::array<std::uint64_t, 16> recently_plain{};
std::size_t next_recent = 0;

bool held_a_grant = false;        // this session ever did
bool transaction_relies = false;  // on the grants noted in the session's slot

SessionSlot& my_session() noexcept { return board->sessions()[pg::backend_number()]; }

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

// Whether a role that SET ROLE chose is one of ours: then it must still be granted.
bool is_ours(RoleId role) {
    if (held_a_grant) return true;
    const auto name = pg::role_name(role);
    if (name && name->starts_with(core::managed_role_prefix)) return true;
    return std::any_of(board->used_slots().begin(), board->used_slots().end(), [&](const Slot& slot) {
        return slot.role.load() == role.oid || slot.template_role.load() == role.oid;
    });
}

void look_at_chosen_role(Standing& standing, RoleId user, RoleId marker) {
    const RoleId session = pg::session_user();
    if (user == session || user != pg::outer_user() || pg::is_superuser(session)) return;
    if (!pg::is_member(session, user)) {
        standing.stale_role = is_ours(user);
        return;
    }
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
    held_a_grant = true;
    copy_name(standing.login, pg::role_name(pg::session_user()));
    copy_name(standing.role, pg::role_name(user));
}

bool holds_nothing(const Standing& standing) noexcept {
    return standing.count == 0 && standing.unconfirmed == 0 && !standing.stale_role && !standing.too_many;
}

// Signal handler: only atomics and kill().
void at_deadline() {
    const auto wall = pg::wall_clock();
    const auto boot = pg::boot_clock();
    SessionSlot& mine = my_session();
    const auto count = std::min<std::uint32_t>(mine.used_count.load(), core::most_grants);
    for (std::uint32_t i = 0; i < count; ++i) {
        const Slot* slot = find_slot(mine.used[i].load());
        if (slot == nullptr || slot->state.load() != SlotState::live || is_past(*slot, wall, boot)) {
            pg::end_session(pg::backend_pid());
            return;
        }
    }
}

std::int64_t first_deadline(const Standing& standing) noexcept {
    auto first = standing.slots[0]->ends_wall.load();
    for (std::uint32_t i = 1; i < standing.count; ++i) first = std::min(first, standing.slots[i]->ends_wall.load());
    return first;
}

void note_use(SessionSlot& mine, std::uint64_t id) noexcept {
    const auto count = mine.used_count.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < std::min<std::uint32_t>(count, core::most_grants); ++i)
        if (mine.used[i].load(std::memory_order_relaxed) == id) return;
    if (count < core::most_grants) mine.used[count].store(id);
    mine.used_count.store(count + 1, std::memory_order_release);
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
    Standing found = resolve(user, true);
    if (holds_nothing(found)) {
        plain = who;
        recently_plain[next_recent++ % recently_plain.size()] = who;
        return nullptr;
    }
    name_people(found, user);
    found.who = who;
    current = found;
    return &current;
}

const Standing* known_standing() noexcept { return current.who == pg::who() ? &current : nullptr; }

const Standing* standing_of_owner(RoleId owner) {
    // An owner is not who() anybody is: no session has the role 0.
    const auto key = std::uint64_t{owner.oid} << 32;
    if (lender.who == key) return &lender;
    if (std::find(recently_plain.begin(), recently_plain.end(), key) != recently_plain.end()) return nullptr;
    Standing found = resolve(owner, false);
    if (holds_nothing(found)) {
        recently_plain[next_recent++ % recently_plain.size()] = key;
        return nullptr;
    }
    name_people(found, owner);
    found.who = key;
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
    SessionSlot& mine = my_session();
    if (mine.pid.load(std::memory_order_relaxed) != pg::backend_pid()) {
        mine.used_count.store(0);
        mine.start.store(pg::session_start());
        mine.pid.store(pg::backend_pid());
        pg::when_session_ends(leave);
    }
    for (std::uint32_t i = 0; i < standing.count; ++i) note_use(mine, standing.ids[i]);
    transaction_relies = true;

    // An error in the session disables every timer, an extension moves the deadline: so look each time.
    static std::int64_t armed_for = 0;
    const auto deadline = first_deadline(standing);
    if (deadline == armed_for && pg::deadline_timer_armed()) return;
    pg::arm_deadline_timer(deadline, at_deadline);
    armed_for = deadline;
}

bool relies_on_what_is_over(const Standing& standing) noexcept {
    const SessionSlot& mine = my_session();
    if (mine.pid.load() != pg::backend_pid()) return false;
    const auto count = std::min<std::uint32_t>(mine.used_count.load(), core::most_grants);
    for (std::uint32_t i = 0; i < standing.count; ++i)
        if (standing.slots[i]->state.load() != SlotState::live || standing.slots[i]->id.load() != standing.ids[i] ||
            is_past(*standing.slots[i], pg::wall_clock(), pg::boot_clock()))
            for (std::uint32_t k = 0; k < count; ++k)
                if (mine.used[k].load() == standing.ids[i]) return true;
    return false;
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
    const auto wall = pg::wall_clock();
    const auto boot = pg::boot_clock();
    SessionSlot& mine = my_session();
    const auto count = std::min<std::uint32_t>(mine.used_count.load(), core::most_grants);
    for (std::uint32_t i = 0; i < count; ++i) {
        const auto id = mine.used[i].load();
        const Slot* slot = find_slot(id);
        if (slot == nullptr || slot->state.load() != SlotState::live || is_past(*slot, wall, boot))
            throw Failure(Code::grant_over, "grant " + std::to_string(id) + " has ended",
                          "What this transaction did under the grant cannot be committed after its end.",
                          "Ask again with jit_request if you still need it.");
    }
}

void forget_transaction() noexcept { transaction_relies = false; }

void give_back(std::uint64_t id) noexcept {
    SessionSlot& mine = my_session();
    const auto count = mine.used_count.load();
    if (mine.pid.load() != pg::backend_pid() || count > core::most_grants) return;
    if (pg::outer_user() != pg::session_user() || pg::has_open_cursors()) return;
    for (std::uint32_t i = 0; i < count; ++i) {
        if (mine.used[i].load() != id) continue;
        mine.used[i].store(mine.used[count - 1].load());
        mine.used_count.store(count - 1);
        return;
    }
}

void invalidate() noexcept {
    plain = 0;
    recently_plain.fill(0);
    current.who = 0;
    lender.who = 0;
}

void leave() noexcept {
    audit::interrupt_all();
    SessionSlot& mine = my_session();
    if (mine.pid.load() == pg::backend_pid()) mine.pid.store(0);
}

}  // namespace jit::enforce
