// Puts uses on the journal: the intent before the statement runs, the outcome when it ends, however it ends.
//
// A use is known by the address of what the server runs it with (query descriptor, planned statement). Its outcome
// comes from the end of execution, from the error that left it, or from the abort of its (sub)transaction: the room for
// it was claimed with the intent, so writing it cannot fail.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "jit_access/enforcement/effective_grants.hpp"

namespace jit::recorder {

// What a statement becomes in the journal, and of what it is made beside the statement.
struct Encoded {
    std::uint64_t grants_number = 0;  // its number; 0: nothing is kept
    std::uint32_t depth = 0;
    int limit = 0;  // of the statement's text
    std::string application;
    std::vector<std::byte> bytes;
    std::uint32_t crc = 0;
};

struct Statement {
    const void* key = nullptr;
    std::string_view tag{};
    std::string_view text{};
    std::string_view parameters{};
    std::span<const core::ObjectUse> objects{};
    std::uint32_t object_count = 0;
    Encoded* encoded = nullptr;  // where it may stay that way, for the next time; null: nowhere
    bool is_inside = false;      // something that the client has sent, although nothing that is recorded runs it
};

// Waits for room up to jit_access.journal_wait and, with jit_access.audit_durability = fsync, for the disk; throws
// journal_full or journal_failed. Nothing has run when it throws.
void begin(const enforcement::EffectiveGrants& grants, const Statement& statement, pg::Moment at);
void complete(const void* key, std::uint64_t rows = 0) noexcept;
void fail(const void* key, std::string_view sqlstate) noexcept;

// Around each stretch in which the server runs the statement. Statements begun inside are one deeper. Whoever enters
// leaves or fails; an abort in between (ROLLBACK in a procedure) does not end the statement.
void enter(const void* key) noexcept;
void leave(const void* key, std::uint64_t rows = 0) noexcept;

// Uses begun in this subtransaction or its children and not running just now (open cursors) ended with it.
void interrupt(std::uint32_t from_subtransaction) noexcept;
// A transaction has committed: what is still open had no end of its own (a function called by the fast path).
void complete_left() noexcept;
// The session ends: whatever is open was interrupted.
void interrupt_all() noexcept;
[[nodiscard]] bool anything_open() noexcept;
[[nodiscard]] bool anything_running() noexcept;  // a cursor is open between two fetches, but does not run
[[nodiscard]] bool is_open(const void* key) noexcept;

// Whether an error of the command that began then is on the record.
[[nodiscard]] bool is_recorded(std::int64_t command_start) noexcept;

// A statement that was not allowed to start. Cannot fail; a refusal that finds no room is counted.
void refused(const enforcement::EffectiveGrants& grants, const Statement& statement, std::string_view sqlstate,
             std::string_view reason) noexcept;

}  // namespace jit::recorder
