// Transactions and subtransactions of the extension, and callbacks at the end of any transaction.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace jit::pg {

struct TransactionCallbacks {
    void (*pre_commit)();   // may throw, which aborts the transaction
    void (*pre_prepare)();  // may throw
    void (*committed)() noexcept;
    void (*aborted)() noexcept;
    void (*worker_committed)() noexcept;  // a parallel worker is done with its part of the transaction
    // Ids of the subtransaction and its parent.
    void (*subtransaction_committed)(std::uint32_t mine, std::uint32_t parent) noexcept;
    void (*subtransaction_aborted)(std::uint32_t mine) noexcept;
};
// Called once, by _PG_init.
void register_transaction_callbacks(const TransactionCallbacks& callbacks);

// Runs the body in a transaction with a snapshot. Only for a process that has no transaction open, such as the worker.
// Returns the message of the error that rolled it back; nullopt if it committed.
[[nodiscard]] std::optional<std::string> in_own_transaction(const std::function<void()>& body);

// Runs the body in a subtransaction. Returns the message of the error that rolled it back; nullopt if it was released.
[[nodiscard]] std::optional<std::string> in_subtransaction(const std::function<void()>& body);

// Makes the error that is about to be thrown end the transaction block, as an error of COMMIT does, instead of leaving
// the block in the failed state.
void abandon_transaction_block();

// WAL position of the last commit of this process; 0 if that commit is not flushed yet.
[[nodiscard]] std::uint64_t last_commit_lsn() noexcept;
// Returns the WAL position of the last checkpoint's REDO record. Right after a start, it shows how far the data of this
// server reach.
[[nodiscard]] std::uint64_t last_redo_lsn() noexcept;

// Makes the commit of the current transaction flush to disk, whatever the value of synchronous_commit. That setting
// still decides whether the commit waits for a standby.
void flush_commit() noexcept;
// Flushes everything that has been written to the WAL. Throws server errors.
void flush_wal();

// While the object exists, waits for locks end after this time, or after lock_timeout if that is shorter. No setting is
// changed, so nothing remains in the transaction afterwards.
class LockTimeoutScope {
public:
    explicit LockTimeoutScope(int milliseconds) noexcept;
    ~LockTimeoutScope();
    LockTimeoutScope(const LockTimeoutScope&) = delete;
    LockTimeoutScope& operator=(const LockTimeoutScope&) = delete;

private:
    int outside_;
};

// Keeps the commit of the current transaction from waiting for a standby.
void commit_locally();
// Keeps the commit from waiting for the disk as well: a crash may lose this commit, but nothing else.
void commit_asynchronously();

}  // namespace jit::pg
