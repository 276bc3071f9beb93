// One statement on its way through the gate: deadline, record, run.
#pragma once

#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/recorder.hpp"

namespace jit::admission {

// What the gate found, at which moment of both clocks.
struct Check {
    const enforcement::EffectiveGrants* grants = nullptr;  // null: not under a grant
    enforcement::Access access = enforcement::Access::allowed;
    pg::Moment at;

    [[nodiscard]] bool under_grant() const noexcept { return grants != nullptr; }
    [[nodiscard]] bool allowed() const noexcept { return access == enforcement::Access::allowed; }
};

// Needs a transaction; may throw.
[[nodiscard]] Check check();
[[nodiscard]] Check check(const enforcement::EffectiveGrants* grants);

// The statement is allowed: binds the session to the deadline and puts the intent on the record. Throws when it cannot
// be recorded; then it must not run.
void record(const Check& check, const recorder::Statement& statement);
// The statement is on the record already and goes on (FETCH, the next rows of a portal).
void go_on(const Check& check);
// Puts the refusal on the record and throws what the user gets.
[[noreturn]] void refuse(const Check& check, const recorder::Statement& statement);
// Puts a refusal of somebody else (a guard) on the record.
void note_refusal(const Check& check, const recorder::Statement& statement, const core::Failure& failure) noexcept;

}  // namespace jit::admission
