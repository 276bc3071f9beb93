// Admission of one statement: check the effective grants, then bind the session and record the intent, or refuse.
//
// Called for every statement of a session that may use a grant (statements/admit_statement). check_access() needs a
// transaction. All functions except record_refusal() may throw.
#pragma once

#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/recorder.hpp"

namespace jit::admission {

// The result of the check of one statement, and the moment of the check on both clocks.
struct AccessCheck {
    const enforcement::EffectiveGrants* grants = nullptr;  // null: the statement uses no grant
    enforcement::Access access = enforcement::Access::allowed;
    pg::Moment at;

    [[nodiscard]] bool under_grant() const noexcept { return grants != nullptr; }
    [[nodiscard]] bool allowed() const noexcept { return access == enforcement::Access::allowed; }
};

// Checks the grants of the current user. Waits up to 300 ms for the clean-up of an ended grant that this session has
// not used.
[[nodiscard]] AccessCheck check_access();
// Checks these grants, without waiting.
[[nodiscard]] AccessCheck check_access(const enforcement::EffectiveGrants* grants);

// Call before an allowed statement runs: binds the session to the grants and records the intent. If it throws, the
// statement must not run.
void record_use(const AccessCheck& check, const recorder::Statement& statement);
// Call before an allowed statement whose intent has been recorded continues: for FETCH, or for further rows of a
// portal.
void continue_use(const AccessCheck& check);
// Records the refusal and throws its Failure.
[[noreturn]] void refuse_statement(const AccessCheck& check, const recorder::Statement& statement);
// Records a refusal for another reason, such as a guard.
void record_refusal(const AccessCheck& check, const recorder::Statement& statement,
                    const core::Failure& failure) noexcept;

}  // namespace jit::admission
