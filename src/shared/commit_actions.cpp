#include "jit_access/shared/commit_actions.hpp"

#include <string>
#include <utility>
#include <vector>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/xact.hpp"

namespace jit::commit_actions {

namespace {

// The actions of the current transaction, in the order of the calls.
std::vector<Action> queue;
bool closures_change = false;

void undo(const Action& action) noexcept {
    if (action.kind == Kind::make_live) free_slot(*action.slot);
}

// A transaction may commit long after it extended a grant. A grant that has ended by then must not become live again.
void check_still_live(const Action& action) {
    const Slot* slot = find_slot(action.id);
    if (slot == nullptr || is_live(*slot, pg::both_clocks())) return;
    throw core::Failure(core::Code::wrong_state, "cannot extend request " + std::to_string(action.id),
                        "It has ended before the transaction was committed.", "Ask again with jit_request.");
}

void apply(const Action& action) noexcept {
    Slot* slot = action.id != 0 ? find_slot(action.id) : nullptr;
    if (slot == nullptr) return;
    if (action.kind == Kind::finish) finish_slot(*slot);
    if (action.kind == Kind::move_deadline) extend_deadline(*slot, action.ends);
}

}  // namespace

void make_live(Slot& slot) { queue.push_back({Kind::make_live, pg::subtransaction_id(), &slot}); }
void finish(std::uint64_t id) { queue.push_back({Kind::finish, pg::subtransaction_id(), nullptr, id}); }
void move_deadline(std::uint64_t id, pg::Moment ends) {
    queue.push_back({Kind::move_deadline, pg::subtransaction_id(), nullptr, id, ends});
}
void request_wakeup() { queue.push_back({Kind::wake, pg::subtransaction_id()}); }

void change_closures() { closures_change = true; }
bool closures_changed() noexcept { return closures_change; }
bool take_closures_changed() noexcept { return std::exchange(closures_change, false); }

std::span<const Action> queued() noexcept { return queue; }

void before_commit() {
    for (const auto& action : queue) {
        if (action.kind == Kind::make_live) publish_slot(*action.slot);
        // This is checked before the commit, because after it the worker would see the new deadline in the tables.
        if (action.kind == Kind::move_deadline) check_still_live(action);
        if (action.kind == Kind::make_live || action.kind == Kind::move_deadline) pg::flush_commit();
    }
}

void after_commit() noexcept {
    for (const auto& action : queue) apply(action);
    queue.clear();
}

void after_abort() noexcept {
    for (const auto& action : queue) undo(action);
    queue.clear();
}

void subtransaction_committed(std::uint32_t mine, std::uint32_t parent) noexcept {
    for (auto& action : queue)
        if (action.subtransaction == mine) action.subtransaction = parent;
}

// Subtransactions that started inside the aborted one have larger ids and were aborted with it.
void subtransaction_aborted(std::uint32_t mine) noexcept {
    std::erase_if(queue, [mine](const Action& action) {
        if (action.subtransaction < mine) return false;
        undo(action);
        return true;
    });
}

}  // namespace jit::commit_actions
