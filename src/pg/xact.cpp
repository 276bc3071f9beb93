#include "jit_access/pg/xact.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/server.hpp"

extern "C" {
#include "access/xlog.h"
#include "pgstat.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
}

namespace jit::pg {

namespace {

TransactionCallbacks callbacks;

// At commit and abort an ERROR would become a PANIC or an endless loop, so the callbacks for these events are noexcept.
// The other callbacks may still make the transaction fail.
void on_transaction(XactEvent event, void*) {
    switch (event) {
        case XACT_EVENT_PRE_COMMIT: guarded([] { callbacks.pre_commit(); }); break;
        case XACT_EVENT_PRE_PREPARE: guarded([] { callbacks.pre_prepare(); }); break;
        case XACT_EVENT_COMMIT: callbacks.committed(); break;
        case XACT_EVENT_ABORT: callbacks.aborted(); break;
        case XACT_EVENT_PARALLEL_COMMIT: callbacks.worker_committed(); break;
        case XACT_EVENT_PARALLEL_ABORT: callbacks.aborted(); break;
        default: break;
    }
}

void on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void*) {
    switch (event) {
        case SUBXACT_EVENT_COMMIT_SUB: callbacks.subtransaction_committed(mine, parent); break;
        case SUBXACT_EVENT_ABORT_SUB: callbacks.subtransaction_aborted(mine); break;
        default: break;
    }
}

// Returns the message of the exception that is being handled and will not be passed on.
std::string message_of_current_exception() {
    try {
        throw;
    } catch (const ServerError& error) {
        return error.what();
    } catch (const core::Failure& failure) {
        return failure.detail.empty() ? failure.message : failure.message + ": " + failure.detail;
    } catch (const std::exception& error) {
        return error.what();
    } catch (...) {
        return "unknown C++ exception";
    }
}

}  // namespace

void register_transaction_callbacks(const TransactionCallbacks& registered) {
    callbacks = registered;
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
}

std::optional<std::string> in_own_transaction(const std::function<void()>& body) {
    MemoryContext const outside = CurrentMemoryContext;
    try {
        call([] {
            StartTransactionCommand();
            PushActiveSnapshot(GetTransactionSnapshot());
        });
        body();
        call([] {
            if (ActiveSnapshotSet()) PopActiveSnapshot();
            CommitTransactionCommand();
            pgstat_report_stat(false);  // otherwise autovacuum would not see the worker's writes
        });
        MemoryContextSwitchTo(outside);
        return std::nullopt;
    } catch (...) {
        // The message is copied before the abort frees the memory of the error.
        auto message = message_of_current_exception();
        call([] { AbortCurrentTransaction(); });
        MemoryContextSwitchTo(outside);
        return message;
    }
}

std::optional<std::string> in_subtransaction(const std::function<void()>& body) {
    MemoryContext const context = CurrentMemoryContext;
    ResourceOwner const owner = CurrentResourceOwner;
    call([&] {
        BeginInternalSubTransaction(nullptr);
        MemoryContextSwitchTo(context);
    });
    const auto restore = [&] {
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
    };
    try {
        body();
        call([] { ReleaseCurrentSubTransaction(); });
        restore();
        return std::nullopt;
    } catch (...) {
        auto message = message_of_current_exception();
        call([] { RollbackAndReleaseCurrentSubTransaction(); });
        restore();
        return message;
    }
}

// From the state that ROLLBACK sets, AbortCurrentTransaction() returns the session to idle (access/transam/xact.c).
void abandon_transaction_block() {
    call([] {
        if (IsTransactionBlock()) UserAbortTransactionBlock(false);
    });
}

// XactLastCommitEnd is the end of the last commit record of this process (access/transam/xlog.c).
std::uint64_t last_commit_lsn() noexcept {
    return XactLastCommitEnd <= GetFlushRecPtr(nullptr) ? XactLastCommitEnd : 0;
}
std::uint64_t last_redo_lsn() noexcept { return GetRedoRecPtr(); }

void flush_commit() noexcept { ForceSyncCommit(); }
void flush_wal() {
    call([] { XLogFlush(GetXLogInsertRecPtr()); });
}

LockTimeoutScope::LockTimeoutScope(int milliseconds) noexcept : outside_(LockTimeout) {
    LockTimeout = outside_ > 0 ? std::min(outside_, milliseconds) : milliseconds;
}
LockTimeoutScope::~LockTimeoutScope() { LockTimeout = outside_; }

namespace {

// Sets synchronous_commit as SET LOCAL does.
void set_synchronous_commit(const char* level) {
    call([level] {
        (void)set_config_option("synchronous_commit", level, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
                                false);
    });
}

}  // namespace

void commit_locally() { set_synchronous_commit("local"); }
void commit_asynchronously() { set_synchronous_commit("off"); }

}  // namespace jit::pg
