#include "jit_access/statements/admit_statement.hpp"

#include <algorithm>
#include <array>

#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/admission.hpp"
#include "jit_access/enforcement/session.hpp"
#include "jit_access/enforcement/standing_privileges.hpp"
#include "jit_access/pg/direct_call.hpp"
#include "jit_access/pg/running_function.hpp"
#include "jit_access/statements/describe_command.hpp"
#include "jit_access/statements/describe_query.hpp"
#include "jit_access/statements/guard_commands.hpp"
#include "jit_access/statements/guard_managed.hpp"
#include "jit_access/statements/sandbox.hpp"

extern "C" {
#include "access/transam.h"
#include "executor/execdesc.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
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
        if (!owner_holds_grant)
            merged = user_check.under_grant() ? *user_check.grants : enforcement::without_grants(*owner_grants);
        owner_holds_grant = true;
        enforcement::merge_grants(merged, *owner_grants, checked.owner);
    });
    return owner_holds_grant ? admission::check_access(&merged) : user_check;
}

// A session whose grant demands a second factor calls jit_step_up() in a statement of its own, which does not use the
// grant. If that statement were refused, the session could not step up.
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

// Some calls are seen only by the object access hook. Calls by the fast-path message have no statement, plan or portal
// (src/backend/tcop/fastpath.c). Simple expressions of PL/pgSQL (exec_eval_simple_expr() in
// src/pl/plpgsql/src/pl_exec.c) can be in a block that no statement recorded under these grants contains. In that case
// the block, or the query in whose parallel worker it runs, began before the grant or under another grant.
bool is_fast_path_call() noexcept {
    return ActivePortal == nullptr && debug_query_string == nullptr && MyBackendType != B_BG_WORKER;
}

// The server checks EXECUTE only once in a transaction for each expression, so a call that needs a grant must bind the
// session. Code in languages other than C uses privileges only by statements and calls, each of which is admitted
// separately. C code that changes or depends on anything but its arguments may check privileges by itself, as nextval()
// does.
bool may_use_grant(Oid function) {
    const auto needs = standing_privileges::find_function(function);
    return !needs.may_execute || needs.checks_privileges_itself;
}

bool reads_no_user_relation(const PlannedStmt* plan) noexcept {
    if (plan->commandType != CMD_SELECT || plan->hasModifyingCTE || plan->rowMarks != NIL) return false;
    bool only_catalogs = true;
    pg::for_each_checked_relation(
        plan, [&](const pg::CheckedRelation& checked) { only_catalogs &= checked.relation < FirstNormalObjectId; });
    return only_catalogs;
}

// The views of information_schema call functions of the server that are written in SQL, a dozen times for each column
// of the database. A statement of such a function reveals nothing that the calling statement does not reveal, and the
// calling statement has a row of its own in the record.
bool is_covered_by_caller(const QueryDesc* query) {
    return error_context_stack != nullptr && reads_no_user_relation(query->plannedstmt) && !sandbox::is_active() &&
           pg::runs_in_server_function();
}

std::int64_t calls_recorded_in = 0;  // start of the command in which a function call was recorded last

void admit_call(Oid function) {
    const auto check = admission::check_access();
    if (!check.under_grant() || is_stepping_up(check, function)) return;
    if (!check.allowed()) admission::refuse_statement(check, describe::function_call(function));
    // The server does not report the end of such a call. Its use is closed when another command records a call, when
    // the transaction ends, or when an error is reported.
    if (calls_recorded_in != pg::command_start())
        while (recorder::is_use_open(describe::function_call_key())) recorder::complete(describe::function_call_key());
    admission::record_use(check, describe::function_call(function));
    calls_recorded_in = pg::command_start();
}

// ---- maintenance by somebody else -----------------------------------------------------------------------------------

// ANALYZE, CREATE INDEX and their like run functions of a table's owner, with the owner's privileges, in the session of
// whoever maintains the table. The owner's grants give no privileges there, because they were given to a person, who
// does not use this session. The session is neither bound to these grants nor ended with them.
[[noreturn]] void refuse_in_maintenance(const enforcement::EffectiveGrants& grants,
                                        const recorder::Statement& statement) {
    const core::Failure failure(core::Code::guarded, "a grant gives nothing to the maintenance of a table or view",
                                "Functions and queries of its owner run here for another user; they need privileges "
                                "that the owner has without a grant.",
                                "Let the owner run the command under the grant, or grant the privileges to the owner.");
    // The refusal is not recorded under the grant: neither the holder nor anybody who acts for the holder has caused
    // it, so it must not count against the grant (the alert rule refusal_burst may suspend a grant).
    recorder::record_refusal(enforcement::without_grants(grants), statement, core::entry(failure.code).sqlstate,
                             failure.message);
    throw core::Failure(failure);
}

// The grants of `check` include those of a view's owner.
void check_maintenance(const admission::AccessCheck& check, const QueryDesc* query) {
    bool is_standing = true;
    pg::for_each_checked_relation(query->plannedstmt, [&](const pg::CheckedRelation& checked) {
        is_standing &= (checked.privileges & ~standing_privileges::find(checked).privileges) == 0;
    });
    if (!is_standing) refuse_in_maintenance(*check.grants, describe::query(query));
}

void check_maintenance(const admission::AccessCheck& check, const recorder::Statement& command) {
    const auto is_standing = [](const core::ObjectUse& use) {
        return ((use.privileges & ~core::privilege_create) & ~use.own) == 0;
    };
    if (!std::ranges::all_of(command.objects, is_standing) || command.object_count > command.objects.size())
        refuse_in_maintenance(*check.grants, command);
}

// Volatile functions of the server that check no privileges. Other volatile functions, such as nextval(), are refused
// if the owner holds a grant, because only the function itself knows whether it would use the grant.
bool is_free_for_all(Oid function) {
    constexpr Oid random = 1598;  // its macro has another name where random() has more than one form
    constexpr std::array<Oid, 4> functions{random, F_CLOCK_TIMESTAMP, F_TIMEOFDAY, F_GEN_RANDOM_UUID};
    return function >= FirstNormalObjectId || std::ranges::find(functions, function) != functions.end();
}

void check_maintenance(const enforcement::EffectiveGrants& grants, Oid function) {
    const auto needs = standing_privileges::find_function(function);
    if (!needs.may_execute || (needs.checks_privileges_itself && !is_free_for_all(function)))
        refuse_in_maintenance(grants, describe::function_call(function));
}

}  // namespace

bool query(const QueryDesc* query) {
    if (pg::is_learning_statement()) return false;
    const auto check = check_query(query);
    if (!check.under_grant() || is_stepping_up(check, query)) return false;
    if (enforcement::is_maintained_by_other()) {
        check_maintenance(check, query);
        return false;
    }
    if (!check.allowed()) admission::refuse_statement(check, describe::query(query));
    if (is_covered_by_caller(query)) return false;
    admission::record_use(check, describe::query(query));
    return true;
}

bool continued_query(const QueryDesc* query) {
    if (pg::is_learning_statement()) return false;
    const auto check = check_query(query);
    const bool is_recorded = recorder::is_use_open(query);
    if (enforcement::is_maintained_by_other()) return is_recorded;
    // After the session has left a role, a cursor that was opened under that role still fetches rows that the role may
    // see.
    if (!check.under_grant() || is_stepping_up(check, query)) return is_recorded;
    if (!check.allowed()) admission::refuse_statement(check, describe::query(query));
    if (is_recorded) {
        admission::continue_use(check);
        return true;
    }
    if (is_covered_by_caller(query)) return false;
    // A query that began before the session had the grant is recorded from this point on.
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
    if (enforcement::is_maintained_by_other()) {
        check_maintenance(check, describe::command(command, source, parameters));
        return false;
    }
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
    if (const auto* grants = enforcement::current_grants()) {
        if (enforcement::is_maintained_by_other())
            check_maintenance(*grants, function);
        else if (!session::is_inside_use_of(*grants) && (is_fast_path_call() || may_use_grant(function)))
            admit_call(function);
    }
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
