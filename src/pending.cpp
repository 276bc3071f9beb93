#include "jit_access/pending.hpp"

#include <utility>
#include <vector>

#include "jit_access/attempt.hpp"
#include "jit_access/audit.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/expire.hpp"
#include "jit_access/journal.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/session.hpp"
#include "jit_access/template.hpp"

namespace jit::pending {

namespace {

enum class Action : std::uint8_t { make_live, finish, move_deadline, wake };

struct Promise {
    Action action;
    std::uint32_t subtransaction;
    Slot* slot = nullptr;
    std::uint64_t id = 0;
    pg::Moment ends{};
};

std::vector<Promise> promises;
bool closures_change = false;  // kept through a rollback to a savepoint: looking once more harms nothing

void undo(const Promise& promise) noexcept {
    if (promise.action == Action::make_live) free_slot(*promise.slot);
}

// A transaction may commit long after it has asked for more time.
void check_in_time(const Promise& promise) {
    const Slot* slot = find_slot(promise.id);
    if (slot == nullptr || still_lives(*slot, pg::both_clocks())) return;
    throw core::Failure(core::Code::wrong_state, "cannot extend request " + std::to_string(promise.id),
                        "Its deadline has passed before the transaction was committed.", "Ask again with jit_request.");
}

void keep(const Promise& promise) noexcept {
    Slot* slot = promise.id != 0 ? find_slot(promise.id) : nullptr;
    if (promise.action == Action::finish && slot != nullptr) finish_slot(*slot);
    if (promise.action == Action::move_deadline && slot != nullptr && still_lives(*slot, pg::both_clocks()))
        set_end(*slot, promise.ends);
}

}  // namespace

void make_live(Slot& slot) { promises.push_back({Action::make_live, pg::subtransaction(), &slot}); }
void finish(std::uint64_t id) { promises.push_back({Action::finish, pg::subtransaction(), nullptr, id}); }
void move_deadline(std::uint64_t id, pg::Moment ends) {
    promises.push_back({Action::move_deadline, pg::subtransaction(), nullptr, id, ends});
}
void change_closures() { closures_change = true; }
bool closures_changed() noexcept { return closures_change; }
void wake() { promises.push_back({Action::wake, pg::subtransaction()}); }

void pre_commit() {
    if (pg::is_between_commands()) attempt::record_kept();
    session::before_commit();
    for (const auto& promise : promises) {
        if (promise.action == Action::make_live) publish_slot(*promise.slot);
        // Before the worker can see it. Should the commit fail, the next statement relies on the grant again.
        if (promise.action == Action::move_deadline) check_in_time(promise);
        if (promise.action == Action::finish) session::give_back(promise.id);
    }
}

void pre_prepare() {
    session::before_prepare();
    if (promises.empty()) return;
    throw core::Failure(core::Code::not_here, "a transaction that changed requests or grants cannot be prepared",
                        "Between PREPARE and COMMIT PREPARED nobody would hold the deadline.", "Use COMMIT.");
}

void committed() noexcept {
    if (audit::anything_open()) audit::complete_left();
    session::after_transaction(true);
    if (std::exchange(closures_change, false)) templates::forget_seals();
    if (promises.empty()) return;
    bool ended = false;
    for (const auto& promise : promises) {
        keep(promise);
        ended |= promise.action == Action::finish;
    }
    promises.clear();
    journal::note_commit(pg::last_commit());
    // The worker would do it as well, if it is well.
    if (ended) expire::stop_what_is_over();
    wake_worker();
}

void aborted() noexcept {
    audit::interrupt(0);
    closures_change = false;
    session::after_transaction(false);
    for (const auto& promise : promises) undo(promise);
    promises.clear();
}

void subtransaction_committed(std::uint32_t mine, std::uint32_t parent) noexcept {
    for (auto& promise : promises)
        if (promise.subtransaction == mine) promise.subtransaction = parent;
}

void subtransaction_aborted(std::uint32_t mine) noexcept {
    audit::interrupt(mine);
    std::erase_if(promises, [mine](const Promise& promise) {
        if (promise.subtransaction < mine) return false;
        undo(promise);
        return true;
    });
}

}  // namespace jit::pending
