#include "jit_access/grants/confirm.hpp"

#include <algorithm>
#include <exception>

#include "jit_access/core/failure.hpp"
#include "jit_access/grants/request.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/policy/conditions.hpp"
#include "jit_access/record/journal.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::confirm {

using core::Event;
using core::Failure;

namespace {

// A grant as the tables tell it.
struct Told {
    GrantTerms terms;
    std::string node;
    bool role_is_right = false;
};

constexpr const char* told_columns =
    "SELECT r.id, r.grant_role, r.requester, r.ends_at, r.ends_boot, coalesce(r.boot_id, ''), "
    "coalesce(r.node::text, ''), coalesce(a.rolname = 'jit_grant_' || r.id, false), r.at_deadline::text, "
    "coalesce((extract(epoch FROM r.grace_period) * 1000000)::bigint, 0), t.allow_code, r.steps_up, "
    "pg_catalog.encode(r.conditions, 'hex'), t.allow_schema_change FROM jit_access.request r "
    "JOIN jit_access.template t ON t.id = r.template_id LEFT JOIN pg_catalog.pg_authid a ON a.oid = r.grant_role ";

Told from_row(const pg::Row& row) {
    const auto wall = row.get<pg::Instant>(3).us;
    const auto boot_id = pg::boot_id();
    // On the same boot the boot clock has gone on counting; on another one only the wall clock knows.
    const bool same_boot = !boot_id.empty() && row.get<std::string>(5) == boot_id;
    return {
        .terms = {.id = static_cast<std::uint64_t>(row.get<std::int64_t>(0)),
                  .role = row.get<pg::RoleId>(1).oid,
                  .requester = row.get<pg::RoleId>(2).oid,
                  .ends = {wall, same_boot ? row.get<std::int64_t>(4) : pg::boot_clock() + (wall - pg::wall_clock())},
                  .at_deadline = core::at_deadline_from(row.get<std::string>(8)).value(),
                  .grace = row.get<std::int64_t>(9),
                  .allows_code = row.get<bool>(10),
                  .allows_schema_change = row.get<bool>(13),
                  .steps_up = row.get<bool>(11),
                  .conditions = conditions::from_hex(row.maybe<std::string>(12))},
        .node = row.get<std::string>(6),
        .role_is_right = row.get<bool>(7)};
}

std::optional<Told> tell(std::int64_t id) {
    const std::string sql = std::string(told_columns) + "WHERE r.id = $1";
    const auto row = pg::query_row(sql.c_str(), {id});
    if (!row) return std::nullopt;
    return from_row(*row);
}

Slot& slot_for(const Told& told) {
    Slot* slot = find_slot(told.terms.id);
    if (slot == nullptr) return *reserve_slot(told.terms);
    fill_slot(*slot, told.terms);
    return *slot;
}

bool is_live(std::uint64_t id) noexcept {
    const Slot* slot = find_slot(id);
    return slot != nullptr && slot->state.load() == SlotState::live;
}

// Without it nobody knows which node this is.
void require_journal() {
    if (!journal::available())
        throw Failure(core::Code::journal_failed, "the journal of uses is not available", journal::fault());
}

void adopt(std::uint64_t id) {
    pg::execute("UPDATE jit_access.request SET node = $2::uuid WHERE id = $1",
                {static_cast<std::int64_t>(id), journal::node()});
}

void confirm(std::int64_t id) {
    auto request = request::lock(id);
    const auto told = tell(id);
    if (request.state != core::State::active || !told) return;
    if (!told->role_is_right) {
        request::advance(request, Event::revoke, task::actor, "its temporary role was dropped or renamed");
        return;
    }
    if (is_live(told->terms.id)) {
        adopt(told->terms.id);  // a standby was promoted: it has held this grant all along
        return;
    }
    require_journal();
    if (told->node != journal::node())
        request::advance(request, Event::suspend, task::actor, "another server granted it, and this is a copy");
    else if (shared_state->tables_are_stale)
        request::advance(request, Event::suspend, task::actor, "a backup was restored, it may have ended since");
    else
        commit_actions::make_live(slot_for(*told));
}

// One that is to start later has nothing on the board yet. A standby that is promoted goes on for its primary.
void confirm_scheduled(std::int64_t id) {
    auto request = request::lock(id);
    if (request.state != core::State::scheduled) return;
    require_journal();
    const auto row = pg::query_row("SELECT coalesce(node::text, '') FROM jit_access.request WHERE id = $1", {id});
    const bool ours = row.value().get<std::string>(0) == journal::node();
    if (shared_state->started_as_standby)
        adopt(static_cast<std::uint64_t>(id));
    else if (!ours)
        request::advance(request, Event::lapse, task::actor, "it was approved on another server, and this is a copy");
    else if (shared_state->tables_are_stale)
        request::advance(request, Event::lapse, task::actor, "a backup was restored, it may have been cancelled");
}

}  // namespace

void after_start() {
    shared_state->tables_are_stale |= pg::last_redo_lsn() < shared_state->last_decision_lsn;
    for (const auto id : task::query_ids("SELECT id FROM jit_access.request WHERE state = 'active' ORDER BY id"))
        task::run_or_log("confirm grant " + std::to_string(id) + ", it stays refused", [&] { confirm(id); });
    for (const auto id : task::query_ids("SELECT id FROM jit_access.request WHERE state = 'scheduled' ORDER BY id"))
        task::run_or_log("look at scheduled request " + std::to_string(id), [&] { confirm_scheduled(id); });
    if (shared_state->tables_are_stale) journal::forget_later_commits(pg::last_commit_lsn());
}

void follow_primary() {
    std::vector<Told> active;
    const auto fault = task::run_in_transaction([&] {
        const std::string sql = std::string(told_columns) + "WHERE r.state = 'active' ORDER BY r.id";
        for (const auto& row : pg::query(sql.c_str())) {
            try {
                active.push_back(from_row(row));
            } catch (const std::exception&) {
                // What cannot be read is not live here, and does not keep the others from ending.
            }
        }
    });
    if (fault) return;
    for (auto& slot : shared_state->used_slots()) {
        const auto id = slot.id.load();
        if (slot.state.load() == SlotState::live &&
            std::none_of(active.begin(), active.end(), [id](const Told& told) { return told.terms.id == id; }))
            finish_slot(slot);
    }
    for (const auto& told : active) {
        if (!told.role_is_right) continue;
        Slot* known = find_slot(told.terms.id);
        if (known == nullptr) {
            try {
                publish_slot(slot_for(told));
            } catch (const Failure&) {
                return;  // no slot is free: what is not on the board is refused
            }
        } else if (known->ends_wall.load() != told.terms.ends.wall && known->state.load() == SlotState::live) {
            set_deadline(*known, told.terms.ends);
        }
    }
}

void resume(std::int64_t id) {
    const auto told = tell(id).value();
    if (!told.role_is_right)
        throw Failure(core::Code::wrong_state, "cannot resume grant " + std::to_string(id),
                      "Its temporary role was dropped or renamed.", "Revoke it; the person can ask again.");
    adopt(told.terms.id);
    commit_actions::make_live(slot_for(told));
}

}  // namespace jit::confirm
