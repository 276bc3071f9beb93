// Admits a statement or function call that the server is about to run: resolves the effective grants, and refuses or
// records the statement.
//
// Called by the hooks (src/hooks.cpp), inside pg::guarded(), because everything here may throw. A function that returns
// true has put the intent on the record; the hook must then run the statement as a recorded use (recorder::enter() and
// leave()). False means that the statement uses no grant, or that it is one of the few that a refused session may still
// run; in both cases it runs unrecorded.
#pragma once

#include <string_view>

#include "jit_access/enforcement/effective_grants.hpp"
#include "jit_access/pg/version_shims.hpp"

struct ParamListInfoData;
struct PlannedStmt;
struct QueryDesc;

namespace jit::admit_statement {

// Whether a query checks relations as a role other than the current user, as for views. That role may hold a grant.
// Once any grant has been active on the server, every statement calls this, so it only loops over the relations.
[[nodiscard]] inline bool reads_as_other_role(const PlannedStmt* plan) noexcept {
    if (shared_state->slots_in_use.load(std::memory_order_relaxed) == 0) return false;
    bool found = false;
    pg::for_each_checked_relation(
        plan, [&](const pg::CheckedRelation& checked) { found |= static_cast<bool>(checked.owner); });
    return found;
}

// Called before a query starts. Needs a transaction.
[[nodiscard]] bool query(const QueryDesc* query);
// Called before a started query fetches more rows, because its grants may have ended since it started.
[[nodiscard]] bool continued_query(const QueryDesc* query);
// Called before a utility command, even in a failed transaction, in which only the cached grants are known.
[[nodiscard]] bool command(const PlannedStmt* command, const char* source, ParamListInfoData* parameters);

// Throws `guarded` if a guard refuses the command. A refusal under a grant is recorded. Needs a transaction.
void check_guards(const PlannedStmt* command, const char* source);

// Called before a function runs in a session that may use a grant. Records the call if no recorded statement contains
// it, and throws if the session may not call the function. Needs a transaction.
void function_call(std::uint32_t function);
// Called when an error of the current command is reported. If a function call was recorded in this command, its outcome
// is recorded as failed.
void fail_function_calls(std::string_view sqlstate) noexcept;

}  // namespace jit::admit_statement
