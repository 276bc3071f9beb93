#include "jit_access/expire.hpp"

#include <algorithm>

#include "jit_access/board.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/decide.hpp"
#include "jit_access/event.hpp"
#include "jit_access/pending.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/provision.hpp"
#include "jit_access/reclaim.hpp"

namespace jit::expire {

namespace {

using core::Event;
using core::State;

const std::string worker = "jit_access";

std::vector<std::int64_t> ids(const char* sql, std::initializer_list<pg::Argument> args = {}) {
    std::vector<std::int64_t> found;
    const auto fault = pg::in_transaction_of_own([&] {
        for (const auto& row : pg::query(sql, args)) found.push_back(row.get<std::int64_t>(0));
    });
    if (fault) {
        pg::log_line(*fault);
        found.clear();
    }
    return found;
}

// One grant, one transaction. Commits here wait for nobody: access ends when it ends.
std::optional<std::string> alone(const std::function<void()>& body) {
    return pg::in_transaction_of_own([&] {
        pg::commit_locally();
        body();
    });
}

void finish_request(std::int64_t id, Event event, std::optional<State> only_from, const std::string& reason) {
    const auto fault = alone([&] {
        auto request = request::lock(id);
        if (only_from && request.state != *only_from) return;
        if (!core::next(request.state, event)) return;
        request::advance(request, event, worker, reason);
        pending::finish(static_cast<std::uint64_t>(id));
    });
    if (fault)
        pg::log_line("could not " + std::string(core::to_string(event)) + " request " + std::to_string(id) + ": " +
                     *fault);
}

void confirm(std::int64_t id) {
    const auto row = pg::query_row(
        "SELECT r.grant_role, t.role, r.requester, r.ends_at, r.ends_boot, r.boot_id, a.rolname = 'jit_grant_' || r.id "
        "FROM jit_access.request r JOIN jit_access.template t ON t.id = r.template_id LEFT JOIN pg_catalog.pg_authid a "
        "ON a.oid = r.grant_role "
        "WHERE r.id = $1 AND r.state = 'active' FOR UPDATE OF r",
        {id});
    if (!row || find_slot(static_cast<std::uint64_t>(id)) != nullptr) return;
    if (row->is_null(6) || !row->get<bool>(6)) {
        auto request = request::lock(id);
        request::advance(request, Event::revoke, worker, "its temporary role was dropped or renamed");
        return;
    }
    const auto wall = row->get<pg::Instant>(3).us;
    // On the same boot the boot clock has gone on counting; on another one only the wall clock knows.
    const bool same_boot = !row->is_null(5) && !pg::boot_id().empty() && row->get<std::string>(5) == pg::boot_id();
    const auto boot = same_boot ? row->get<std::int64_t>(4) : pg::boot_clock() + (wall - pg::wall_clock());
    Slot* slot = reserve_slot(static_cast<std::uint64_t>(id), row->get<pg::RoleId>(0).oid, row->get<pg::RoleId>(1).oid,
                              row->get<pg::RoleId>(2).oid, {wall, boot});
    pending::make_live(*slot);
}

void end_past_grants() {
    const auto wall = pg::wall_clock();
    for (const auto& slot : board->used_slots())
        if (slot.state.load() == SlotState::over)
            finish_request(static_cast<std::int64_t>(slot.id.load()), Event::end, State::active, "deadline reached");
    // What is not on the board (it could not be confirmed) ends by the table.
    for (const auto id :
         ids("SELECT id FROM jit_access.request WHERE state IN ('active', 'suspended') AND ends_at <= $1",
             {pg::Instant{wall}}))
        finish_request(id, Event::end, std::nullopt, "deadline reached");
}

void start_scheduled() {
    for (const auto id : ids("SELECT id FROM jit_access.request WHERE state = 'scheduled' AND starts_at <= $1",
                             {pg::Instant{pg::wall_clock()}})) {
        const auto fault = alone([&] {
            auto request = request::lock(id);
            if (request.state != State::scheduled) return;
            const auto of = templates::find(request.template_id);
            if (request.template_version != of.version)
                throw core::Failure(core::Code::wrong_state, "the template has changed since the request");
            provision::activate(request, of, worker);
        });
        if (fault) finish_request(id, Event::lapse, State::scheduled, "could not be activated: " + *fault);
    }
}

void lapse_undecided() {
    for (const auto id : ids("SELECT id FROM jit_access.request WHERE state = 'pending' AND lapses_at <= $1",
                             {pg::Instant{pg::wall_clock()}}))
        finish_request(id, Event::lapse, State::pending, "nobody decided in time");
}

void clean_up_ended() {
    for (const auto id :
         ids("SELECT id FROM jit_access.request WHERE cleanup = 'due' AND (cleanup_next IS NULL OR cleanup_next <= $1)",
             {pg::Instant{pg::wall_clock()}})) {
        const auto fault = alone([&] { reclaim::clean_up(id); });
        if (!fault) {
            retire_slot(static_cast<std::uint64_t>(id));
            continue;
        }
        pg::log_line("could not clean up grant " + std::to_string(id) + ", will be retried: " + *fault);
        const auto noted = alone([&] {
            pg::execute(
                "UPDATE jit_access.request SET cleanup_attempts = cleanup_attempts + 1, cleanup_error = $2, "
                "cleanup_next = "
                "pg_catalog.clock_timestamp() + least(power(2, least(cleanup_attempts, 20)), 300) * interval '1 "
                "second' WHERE id = $1",
                {id, *fault});
        });
        if (noted) pg::log_line(*noted);
    }
}

bool relies_on(const SessionSlot& session, std::uint64_t id) noexcept {
    const auto count = session.used_count.load(std::memory_order_acquire);
    // A session that has used more grants than it could note is taken to rely on any.
    if (count > core::most_grants) return true;
    for (std::uint32_t i = 0; i < count; ++i)
        if (session.used[i].load() == id) return true;
    return false;
}

}  // namespace

void confirm_live_grants() {
    for (const auto id : ids("SELECT id FROM jit_access.request WHERE state = 'active' ORDER BY id")) {
        const auto fault = alone([&] { confirm(id); });
        if (fault) pg::log_line("could not confirm grant " + std::to_string(id) + ", it stays refused: " + *fault);
    }
}

void stop_what_is_over() noexcept {
    const auto wall = pg::wall_clock();
    const auto boot = pg::boot_clock();
    for (auto& slot : board->used_slots()) {
        if (slot.state.load() == SlotState::live && is_past(slot, wall, boot)) finish_slot(slot);
        if (slot.state.load() != SlotState::over) continue;
        for (auto& session : board->sessions()) {
            const auto pid = session.pid.load(std::memory_order_acquire);
            if (pid == 0 || !relies_on(session, slot.id.load())) continue;
            // The owner clears its entry before it exits, so this is still the same process.
            if (session.pid.load(std::memory_order_acquire) == pid && pg::end_session(pid))
                board->counters.sessions_ended.fetch_add(1, std::memory_order_relaxed);
        }
    }
}

std::optional<pg::Instant> settle() {
    end_past_grants();
    lapse_undecided();
    start_scheduled();
    clean_up_ended();
    std::optional<pg::Instant> next;
    const auto fault = pg::in_transaction_of_own([&] {
        next = pg::query_row(
                   "SELECT min(CASE state WHEN 'pending' THEN lapses_at WHEN 'scheduled' THEN starts_at END) FROM "
                   "jit_access.request WHERE state IN ('pending', 'scheduled')")
                   .value()
                   .maybe<pg::Instant>(0);
        const auto retry = pg::query_row(
                               "SELECT min(coalesce(cleanup_next, pg_catalog.clock_timestamp())) FROM "
                               "jit_access.request WHERE cleanup = 'due'")
                               .value()
                               .maybe<pg::Instant>(0);
        if (retry && (!next || *retry < *next)) next = retry;
    });
    if (fault) pg::log_line(*fault);
    return next;
}

std::optional<std::int64_t> next_deadline() noexcept {
    std::optional<std::int64_t> first;
    const auto wall = pg::wall_clock();
    const auto boot = pg::boot_clock();
    for (const auto& slot : board->used_slots()) {
        if (slot.state.load() != SlotState::live) continue;
        const auto left = std::min(slot.ends_wall.load() - wall, slot.ends_boot.load() - boot);
        first = std::min(first.value_or(wall + left), wall + left);
    }
    return first;
}

}  // namespace jit::expire
