// Records uses of grants in the journal: the intent before a statement runs, and the outcome when it ends, successfully
// or not.
//
// A use is identified by a key: the address of the structure with which the server runs the statement (QueryDesc,
// PlannedStmt). Its outcome comes from the end of execution, from the ERROR that ended it, or from the abort of its
// (sub)transaction. Room for the outcome is claimed in the journal together with room for the intent, so writing an
// outcome cannot fail.
//
// Called in the backend that runs the statement. Only begin() may throw. Except for record_refusal(), the functions
// reuse their memory: they allocate only for a deeper nesting of statements, or for a larger record, than before.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "jit_access/enforcement/effective_grants.hpp"

namespace jit::recorder {

// The encoded payload of a statement, kept in the statement cache, and the values on which it depends besides the
// statement.
struct Encoded {
    std::uint64_t grants_serial = 0;  // EffectiveGrants::serial; 0: empty
    std::uint32_t depth = 0;
    int statement_limit = 0;  // jit_access.statement_limit
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
    Encoded* encoded = nullptr;  // where its encoded form is cached; null: it is not cached
    bool is_nested = false;      // runs inside something the client has sent, although no recorded use contains it
};

// Waits for room in the journal, for at most jit_access.journal_wait, and, with jit_access.audit_durability = fsync,
// for the flush to disk. Throws journal_full or journal_failed. If it throws, the statement must not run.
void begin(const enforcement::EffectiveGrants& grants, const Statement& statement, pg::Moment at);
void complete(const void* key, std::uint64_t rows = 0) noexcept;
void fail(const void* key, std::string_view sqlstate) noexcept;

// Call these two around each part of the execution of a statement; uses that begin in between are one level deeper.
// Each enter() is followed by a leave(), even after an ERROR. An abort in between (ROLLBACK in a procedure) does not
// end the use.
void enter(const void* key) noexcept;
void leave(const void* key, std::uint64_t rows = 0) noexcept;

// Call after a subtransaction has aborted: closes the uses that were begun in it or its children and are not running
// now (open cursors).
void interrupt(std::uint32_t from_subtransaction) noexcept;
// Call after a transaction has committed: closes uses whose end is not reported (functions called by the fast-path
// message).
void complete_remaining() noexcept;
// Call when the process exits: closes all open uses as interrupted.
void interrupt_all() noexcept;
[[nodiscard]] bool has_open_uses() noexcept;
// Whether a statement recorded under these grants is running. An open cursor does not run between two fetches.
[[nodiscard]] bool is_inside_use_of(const enforcement::EffectiveGrants& grants) noexcept;
[[nodiscard]] bool is_use_open(const void* key) noexcept;

// Returns whether an error of the command that began at this time has been recorded already.
[[nodiscard]] bool is_error_recorded(std::int64_t command_start) noexcept;

// Records a statement that was not allowed to start. Never fails. If the journal has no room, or if the login has made
// too many attempts (shared/attempt_counter.hpp), the refusal is only counted (journal_refusals in jit_access.health).
void record_refusal(const enforcement::EffectiveGrants& grants, const Statement& statement, std::string_view sqlstate,
                    std::string_view reason) noexcept;

}  // namespace jit::recorder
