#include "jit_access/statements/admit_statement.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/admission.hpp"
#include "jit_access/enforcement/session.hpp"
#include "jit_access/pg/direct_call.hpp"
#include "jit_access/statements/describe_command.hpp"
#include "jit_access/statements/describe_query.hpp"
#include "jit_access/statements/guard_commands.hpp"
#include "jit_access/statements/guard_managed.hpp"

extern "C" {
#include "executor/execdesc.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
}

namespace jit::admit_statement {

namespace {

// The server checks the relations behind a view as the view's owner. If the owner holds a grant, the query uses that
// grant as well as those of the current user.
admission::AccessCheck check_query(const QueryDesc* query) {
    const auto user_check = admission::check_access();
    if ((user_check.under_grant() && !user_check.allowed()) || !reads_as_other_role(query->plannedstmt))
        return user_check;
    static enforcement::EffectiveGrants merged;
    bool owner_holds_grant = false;
    pg::for_each_checked_relation(query->plannedstmt, [&](const pg::CheckedRelation& checked) {
        if (!checked.owner || checked.owner == pg::current_user()) return;
        const auto* owner_grants = enforcement::grants_of_owner(checked.owner);
        if (owner_grants == nullptr) return;
        if (!owner_holds_grant) merged = user_check.under_grant() ? *user_check.grants : *owner_grants;
        owner_holds_grant = true;
        enforcement::merge_grants(merged, *owner_grants);
    });
    return owner_holds_grant ? admission::check_access(&merged) : user_check;
}

// A session whose grant demands a second factor calls jit_step_up() in a statement of its own, which does not use the
// grant. If it were refused, the session could not step up.
bool is_stepping_up(const admission::AccessCheck& check, Oid function) {
    return check.access == enforcement::Access::second_factor_missing && pg::in_control_database() &&
           pg::is_extension_function(function, "jit_step_up");
}

bool is_stepping_up(const admission::AccessCheck& check, const QueryDesc* query) {
    return check.access == enforcement::Access::second_factor_missing &&
           is_stepping_up(check, pg::sole_function_called(query->plannedstmt));
}

// Commands by which a session leaves a role or a transaction. They are never refused, because a session whose grant has
// ended must be able to continue without it.
bool leaves_role_or_transaction(const Node* command) {
    switch (nodeTag(command)) {
        case T_TransactionStmt:
        case T_DiscardStmt:
        case T_ClosePortalStmt: return true;
        case T_VariableSetStmt: {
            const auto* set = reinterpret_cast<const VariableSetStmt*>(command);
            if (set->kind == VAR_RESET_ALL) return true;
            if (set->name == nullptr) return false;
            const std::string_view name(set->name);
            if (name != "role" && name != "session_authorization") return false;
            if (set->kind == VAR_RESET || set->kind == VAR_SET_DEFAULT) return true;
            if (list_length(set->args) != 1 || !IsA(linitial(set->args), A_Const)) return false;
            const auto* value = linitial_node(A_Const, set->args);
            return name == "role" && nodeTag(&value->val) == T_String &&
                   std::string_view(strVal(&value->val)) == "none";
        }
        default: return false;
    }
}

// The object access hook is the only one that sees two kinds of calls: those by the fast-path message, which have no
// statement, plan or portal (src/backend/tcop/fastpath.c), and simple expressions of a PL/pgSQL block that has been
// running since before the grant (exec_eval_simple_expr() in src/pl/plpgsql/src/pl_exec.c).
bool is_call_without_statement() noexcept {
    if (MyBackendType != B_BACKEND || recorder::is_inside_use()) return false;
    return ActivePortal != nullptr || debug_query_string == nullptr;
}

std::int64_t calls_recorded_in = 0;  // start of the command in which a function call was recorded last

void admit_call(Oid function) {
    const auto check = admission::check_access();
    if (!check.under_grant() || is_stepping_up(check, function)) return;
    if (!check.allowed()) admission::refuse_statement(check, describe::function_call(function));
    // The end of such a call is not reported. Its use is closed when another command records one, at the end of the
    // transaction, or by a reported error.
    if (calls_recorded_in != pg::command_start())
        while (recorder::is_use_open(describe::function_call_key())) recorder::complete(describe::function_call_key());
    admission::record_use(check, describe::function_call(function));
    calls_recorded_in = pg::command_start();
}

}  // namespace

bool query(const QueryDesc* query) {
    const auto check = check_query(query);
    if (!check.under_grant() || is_stepping_up(check, query)) return false;
    if (!check.allowed()) admission::refuse_statement(check, describe::query(query));
    admission::record_use(check, describe::query(query));
    return true;
}

bool continued_query(const QueryDesc* query) {
    const auto check = check_query(query);
    const bool is_recorded = recorder::is_use_open(query);
    // A cursor that was opened under a role still fetches rows that the role may see after the session has left the
    // role.
    if (!check.under_grant() || is_stepping_up(check, query)) return is_recorded;
    if (!check.allowed()) admission::refuse_statement(check, describe::query(query));
    // A query that began before the session had the grant is recorded from this point on.
    if (is_recorded)
        admission::continue_use(check);
    else
        admission::record_use(check, describe::query(query));
    return true;
}

bool command(const PlannedStmt* command, const char* source, ParamListInfo parameters) {
    const bool leaves = leaves_role_or_transaction(command->utilityStmt);
    if (leaves) session::schedule_release();
    // In a failed transaction no catalog can be read, and only commands that leave it can run. check_access() without
    // arguments waits for the clean-up, which a command that leaves the role must not do.
    const auto check = !IsTransactionState() ? admission::check_access(enforcement::cached_grants())
                       : leaves              ? admission::check_access(enforcement::current_grants())
                                             : admission::check_access();
    if (!check.under_grant()) return false;
    if (check.allowed()) {
        admission::record_use(check, describe::command(command, source, parameters));
        return true;
    }
    if (leaves) return false;
    admission::refuse_statement(check, describe::command(command, source));
}

void check_guards(const PlannedStmt* command, const char* source) {
    try {
        guard::check_command_under_grant(command->utilityStmt);
        guard::check_managed_roles(command->utilityStmt);
    } catch (const core::Failure& failure) {
        const auto check = admission::check_access();
        if (check.under_grant()) admission::record_refusal(check, describe::command(command, source), failure);
        throw;
    }
}

void function_call(std::uint32_t function) {
    if (is_call_without_statement()) admit_call(function);
    try {
        guard::check_function_call(function);
    } catch (const core::Failure& failure) {
        const auto check = admission::check_access();
        if (check.under_grant()) admission::record_refusal(check, describe::function_call(function), failure);
        throw;
    }
}

void fail_function_calls(std::string_view sqlstate) noexcept {
    if (calls_recorded_in == pg::command_start()) recorder::fail(describe::function_call_key(), sqlstate);
}

}  // namespace jit::admit_statement
