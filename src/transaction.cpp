#include "jit_access/transaction.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/denied_attempt.hpp"
#include "jit_access/enforcement/recorder.hpp"
#include "jit_access/enforcement/session.hpp"
#include "jit_access/grants/expire.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/policy/template_closure.hpp"
#include "jit_access/record/journal_file.hpp"
#include "jit_access/shared/commit_actions.hpp"

namespace jit::transaction {

namespace {

bool ends_grant(const commit_actions::Action& action) noexcept { return action.kind == commit_actions::Kind::finish; }

// May throw, which turns the commit into an abort.
void pre_commit() {
    if (pg::is_between_commands()) denied_attempt::record_pending();
    session::before_commit();
    commit_actions::before_commit();
    // The session itself ends these grants, so it is released from them. Otherwise it would refuse statements or end
    // itself after the commit. If the commit still fails, the next statement binds the session again.
    for (const auto& action : commit_actions::queued())
        if (ends_grant(action)) session::release_grant(action.id);
}

void pre_prepare() {
    session::before_prepare();
    if (commit_actions::queued().empty()) return;
    throw core::Failure(core::Code::not_here, "a transaction that changed requests or grants cannot be prepared",
                        "Between PREPARE TRANSACTION and COMMIT PREPARED no session would enforce the deadline.",
                        "Use COMMIT.");
}

void committed() noexcept {
    if (recorder::has_open_uses()) recorder::complete_remaining();
    session::after_transaction(true);
    if (commit_actions::take_closures_changed()) templates::forget_closures();

    const auto queued = commit_actions::queued();
    if (queued.empty()) return;
    const bool ended = std::any_of(queued.begin(), queued.end(), ends_grant);
    commit_actions::after_commit();
    journal::advance_decision_lsn(pg::last_commit_lsn());
    // The worker does the same, but access must end even while the worker is down.
    if (ended) expire::stop_ended_grants();
    wake_worker();
}

// A parallel worker's part of the transaction has changed no grant, and the leader may still roll the transaction back.
void worker_committed() noexcept {
    recorder::complete_remaining();
    session::after_transaction(true);
}

void aborted() noexcept {
    recorder::interrupt(0);
    (void)commit_actions::take_closures_changed();
    session::after_transaction(false);
    commit_actions::after_abort();
}

void subtransaction_aborted(std::uint32_t subtransaction) noexcept {
    recorder::interrupt(subtransaction);
    commit_actions::subtransaction_aborted(subtransaction);
}

}  // namespace

void install() {
    pg::register_transaction_callbacks({.pre_commit = pre_commit,
                                        .pre_prepare = pre_prepare,
                                        .committed = committed,
                                        .aborted = aborted,
                                        .worker_committed = worker_committed,
                                        .subtransaction_committed = commit_actions::subtransaction_committed,
                                        .subtransaction_aborted = subtransaction_aborted});
}

}  // namespace jit::transaction
