#include "jit_access/grants/confirm.hpp"

#include <algorithm>
#include <exception>

#include "jit_access/core/failure.hpp"
#include "jit_access/grants/request.hpp"
#include "jit_access/grants/revocation.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/policy/conditions.hpp"
#include "jit_access/record/identifier.hpp"
#include "jit_access/record/journal_file.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::confirm {

using core::Event;
using core::Failure;

namespace {

// A grant as stored in the tables.
struct StoredGrant {
    GrantTerms terms;
    std::string node;
    bool has_its_role = false;  // the role has the OID and the name it was created with
};

// Append a WHERE clause.
constexpr const char* select_grants = R"sql(
    SELECT r.id, r.grant_role, r.requester, r.ends_at, r.ends_boot, coalesce(r.boot_id, ''),
           coalesce(r.node::text, ''), coalesce(a.rolname = 'jit_grant_' || r.id, false), r.at_deadline::text,
           coalesce((extract(epoch FROM r.grace_period) * 1000000)::bigint, 0), t.allow_code, r.steps_up,
           pg_catalog.encode(r.conditions, 'hex'), t.allow_schema_change
    FROM jit_access.request r
    JOIN jit_access.template t ON t.id = r.template_id
    LEFT JOIN pg_catalog.pg_authid a ON a.oid = r.grant_role
)sql";

// If the machine has not booted since, the stored value of the boot clock is still valid. Otherwise it is meaningless,
// and the deadline on the boot clock is derived from the wall clock. If a boot cannot be identified, the earlier of the
// two applies: a wall clock that was set back must not extend a grant.
std::int64_t boot_deadline(std::int64_t wall, std::optional<std::int64_t> stored, const std::string& stored_on,
                           const std::string& this_boot) {
    const auto derived = pg::boot_clock() + (wall - pg::wall_clock());
    if (!stored) return derived;
    if (stored_on.empty() || this_boot.empty()) return std::min(*stored, derived);
    return stored_on == this_boot ? *stored : derived;
}

StoredGrant grant_from_row(const pg::Row& row) {
    const auto wall = row.get<pg::Instant>(3).us;
    const auto boot_id = pg::boot_id();
    const auto boot = boot_deadline(wall, row.maybe<std::int64_t>(4), row.get<std::string>(5), boot_id);
    return {.terms = {.id = static_cast<std::uint64_t>(row.get<std::int64_t>(0)),
                      .role = row.get<pg::RoleId>(1).oid,
                      .requester = row.get<pg::RoleId>(2).oid,
                      .ends = {wall, boot},
                      .at_deadline = core::at_deadline_from(row.get<std::string>(8)).value(),
                      .grace = row.get<std::int64_t>(9),
                      .allows_code = row.get<bool>(10),
                      .allows_schema_change = row.get<bool>(13),
                      .steps_up = row.get<bool>(11),
                      .conditions = conditions::from_hex(row.maybe<std::string>(12))},
            .node = row.get<std::string>(6),
            .has_its_role = row.get<bool>(7)};
}

std::optional<StoredGrant> read_grant(std::int64_t id) {
    const std::string sql = std::string(select_grants) + "WHERE r.id = $1";
    const auto row = pg::query_row(sql.c_str(), {id});
    if (!row) return std::nullopt;
    return grant_from_row(*row);
}

// The slot of the grant, filled and not yet live.
Slot& fill_slot_for(const StoredGrant& grant) {
    Slot* slot = find_slot(grant.terms.id);
    if (slot == nullptr) return *reserve_slot(grant.terms);
    fill_slot(*slot, grant.terms);
    return *slot;
}

bool is_live(std::uint64_t id) noexcept {
    const Slot* slot = find_slot(id);
    return slot != nullptr && slot->state.load() == SlotState::live;
}

// The journal holds the UUID of this node. Without it, a grant cannot be distinguished from a copy.
void require_journal() {
    if (!journal::available())
        throw Failure(core::Code::journal_failed, "the journal of uses is not available", journal::fault());
}

// Marks the request as granted by this node. The caller holds the lock on its row.
void store_own_node(std::uint64_t id) {
    pg::execute("UPDATE jit_access.request SET node = $2::uuid WHERE id = $1",
                {static_cast<std::int64_t>(id), journal::node()});
}

void confirm_active(std::int64_t id) {
    auto request = request::lock(id);
    const auto grant = read_grant(id);
    if (request.state != core::State::active || !grant) return;
    if (!grant->has_its_role) {
        request::advance(request, Event::revoke, task::actor, "its temporary role was dropped or renamed");
        return;
    }
    // This is a promoted standby, which has had the grant in shared memory since before the promotion.
    if (is_live(grant->terms.id)) {
        store_own_node(grant->terms.id);
        return;
    }
    require_journal();
    if (revocation::is_noted(id)) return;
    if (grant->node != journal::node())
        request::advance(request, Event::suspend, task::actor, "another server granted it, and this is a copy");
    else if (shared_state->tables_are_stale)
        request::advance(request, Event::suspend, task::actor, "a backup was restored, it may have ended since");
    else
        commit_actions::make_live(fill_slot_for(*grant));
}

// A scheduled grant has no slot yet. A promoted standby takes over those of its primary.
void confirm_scheduled(std::int64_t id) {
    auto request = request::lock(id);
    if (request.state != core::State::scheduled) return;
    require_journal();
    const auto row = pg::query_row("SELECT coalesce(node::text, '') FROM jit_access.request WHERE id = $1", {id});
    const bool is_own = row.value().get<std::string>(0) == journal::node();
    if (shared_state->started_as_standby)
        store_own_node(static_cast<std::uint64_t>(id));
    else if (!is_own)
        request::advance(request, Event::lapse, task::actor, "it was approved on another server, and this is a copy");
    else if (shared_state->tables_are_stale)
        request::advance(request, Event::lapse, task::actor, "a backup was restored, it may have been cancelled");
}

std::optional<std::vector<StoredGrant>> read_active_grants() {
    std::vector<StoredGrant> grants;
    const auto fault = task::run_in_transaction([&] {
        const std::string sql = std::string(select_grants) + "WHERE r.state = 'active' ORDER BY r.id";
        identifier::follow_tables();
        for (const auto& row : pg::query(sql.c_str())) {
            try {
                grants.push_back(grant_from_row(row));
            } catch (const std::exception&) {
                // A row that cannot be read (for example, because the primary has a newer version) gets no slot here.
                // It must not keep the other grants from ending.
            }
        }
    });
    if (fault) return std::nullopt;
    return grants;
}

}  // namespace

bool after_start() {
    const auto failures = task::failure_count();
    // The journal is not restored with a backup, so it may show a decision that the restored tables do not have.
    shared_state->tables_are_stale |= pg::last_redo_lsn() < shared_state->last_decision_lsn;
    for (const auto id : task::query_ids("SELECT id FROM jit_access.request WHERE state = 'active' ORDER BY id"))
        task::run_or_log("confirm grant " + std::to_string(id) + ", it stays refused", [&] { confirm_active(id); });
    for (const auto id : task::query_ids("SELECT id FROM jit_access.request WHERE state = 'scheduled' ORDER BY id"))
        task::run_or_log("confirm scheduled request " + std::to_string(id), [&] { confirm_scheduled(id); });
    if (task::failure_count() != failures) return false;
    if (shared_state->tables_are_stale) journal::reset_decision_lsn(pg::last_commit_lsn());
    return true;
}

void follow_primary() {
    const auto grants = read_active_grants();
    if (!grants) return;
    const auto is_active = [&](std::uint64_t id) {
        return std::any_of(grants->begin(), grants->end(), [id](const StoredGrant& g) { return g.terms.id == id; });
    };
    // Ended grants are handled first, because a grant that the primary has ended must not stay usable if there is no
    // slot for another grant.
    for (auto& slot : shared_state->used_slots())
        if (slot.state.load() == SlotState::live && !is_active(slot.id.load())) finish_slot(slot);
    for (const auto& grant : *grants) {
        if (!grant.has_its_role) continue;
        Slot* slot = find_slot(grant.terms.id);
        if (slot == nullptr) {
            try {
                publish_slot(fill_slot_for(grant));
            } catch (const Failure&) {
                return;  // no slot is free; the remaining grants stay refused
            }
        } else if (slot->ends_wall.load() != grant.terms.ends.wall && slot->state.load() == SlotState::live) {
            set_deadline(*slot, grant.terms.ends);  // extended on the primary
        }
    }
}

void resume(std::int64_t id) {
    const auto grant = read_grant(id).value();
    if (revocation::is_noted(id))
        throw Failure(core::Code::wrong_state, "cannot resume grant " + std::to_string(id), "It is revoked.",
                      "The person can ask again.");
    if (!grant.has_its_role)
        throw Failure(core::Code::wrong_state, "cannot resume grant " + std::to_string(id),
                      "Its temporary role was dropped or renamed.", "Revoke it; the person can ask again.");
    store_own_node(grant.terms.id);
    commit_actions::make_live(fill_slot_for(grant));
}

}  // namespace jit::confirm
