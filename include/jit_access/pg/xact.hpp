// Transactions: running one of our own, and being told how one ends.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace jit::pg {

struct TransactionCallbacks {
    void (*pre_commit)();   // may throw, which aborts
    void (*pre_prepare)();  // may throw
    void (*committed)() noexcept;
    void (*aborted)() noexcept;
    void (*subtransaction_committed)(std::uint32_t mine, std::uint32_t parent) noexcept;
    void (*subtransaction_aborted)(std::uint32_t mine) noexcept;
};
// Once, when the library is loaded.
void register_transaction_callbacks(const TransactionCallbacks& callbacks);

// Runs the body in a transaction of its own with a fresh snapshot. Only for a process that has none open (the worker).
// An error rolls back, and its message is the answer; nothing means committed.
[[nodiscard]] std::optional<std::string> in_own_transaction(const std::function<void()>& body);

// Runs the body in a subtransaction: an error rolls that back alone, and its message is the answer.
[[nodiscard]] std::optional<std::string> in_subtransaction(const std::function<void()>& body);

// Where the last commit of this process stands in the WAL, and where the WAL ended when this server came up (or its
// last checkpoint since). 0: it is not on disk yet.
[[nodiscard]] std::uint64_t last_commit_lsn() noexcept;
[[nodiscard]] std::uint64_t last_redo_lsn() noexcept;

// The commit of this transaction does not wait for a standby; or not even for the disk: a crash may lose it, and only
// it.
void commit_locally();
void commit_asynchronously();

}  // namespace jit::pg
