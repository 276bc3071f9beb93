#include "jit_access/hooks.hpp"

#include <new>
#include <unistd.h>

#include "jit_access/enforcement/admission.hpp"
#include "jit_access/enforcement/denied_attempt.hpp"
#include "jit_access/enforcement/session.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/direct_call.hpp"
#include "jit_access/pg/locks.hpp"
#include "jit_access/pg/redact_secrets.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/version.hpp"
#include "jit_access/record/journal.hpp"
#include "jit_access/shared/second_factor_state.hpp"
#include "jit_access/statements/describe.hpp"
#include "jit_access/statements/guard_commands.hpp"
#include "jit_access/statements/guard_managed.hpp"
#include "jit_access/statements/guard_objects.hpp"
#include "jit_access/statements/sandbox.hpp"

extern "C" {
#include "access/parallel.h"
#include "access/xlog.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
}

namespace jit::hooks {

namespace {

ExecutorStart_hook_type next_start = nullptr;
ExecutorRun_hook_type next_run = nullptr;
ExecutorFinish_hook_type next_finish = nullptr;
ExecutorEnd_hook_type next_end = nullptr;
ProcessUtility_hook_type next_utility = nullptr;
object_access_hook_type next_access = nullptr;
emit_log_hook_type next_log = nullptr;
shmem_request_hook_type next_request = nullptr;
shmem_startup_hook_type next_startup = nullptr;

// The piece of a plan that a parallel worker runs is its leader's statement; what functions in it run is not.
bool runs_piece = false;
bool is_leaders() noexcept { return IsParallelWorker() && !runs_piece; }

// Elsewhere nothing can be looked up, or the leader has done it.
bool can_look() noexcept { return IsTransactionState() && !is_leaders(); }

// Why a session that leaves its grant has its statement cancelled. Adds to the error that is on its way.
void explain_cancel() noexcept {
    if (geterrcode() != ERRCODE_QUERY_CANCELED) return;
    if (const auto id = session::debt(); id != 0)
        errdetail("Grant %llu has ended; the session goes on without it.", static_cast<unsigned long long>(id));
}

// Runs a stretch of an admitted statement; an error closes its use and goes on.
template <class Body>
void run_recorded(const void* key, Body&& body) {
    recorder::enter(key);
    PG_TRY();
    { body(); }
    PG_CATCH();
    {
        recorder::leave(key);
        recorder::fail(key, unpack_sql_state(geterrcode()));
        explain_cancel();
        PG_RE_THROW();
    }
    PG_END_TRY();
}

// ---- the executor ---------------------------------------------------------------------------------------------------

bool may_borrow(const QueryDesc* query) noexcept {
    if (shared_state->slots_in_use.load(std::memory_order_relaxed) == 0) return false;
    bool found = false;
    pg::for_each_checked_relation(
        query->plannedstmt, [&](const pg::CheckedRelation& checked) { found |= static_cast<bool>(checked.owner); });
    return found;
}

// A view is read with the privileges of its owner: when he holds a grant, it is his grant that is used, beside the
// user's own.
admission::Check check(const QueryDesc* query) {
    const auto own = admission::check();
    if ((own.under_grant() && !own.allowed()) || !may_borrow(query)) return own;
    static enforcement::EffectiveGrants joined;
    bool borrows = false;
    pg::for_each_checked_relation(query->plannedstmt, [&](const pg::CheckedRelation& checked) {
        if (!checked.owner || checked.owner == pg::current_user()) return;
        const auto* lender = enforcement::grants_of_owner(checked.owner);
        if (lender == nullptr) return;
        if (!borrows) joined = own.under_grant() ? *own.grants : *lender;
        borrows = true;
        enforcement::join(joined, *lender);
    });
    return borrows ? admission::check(&joined) : own;
}

// A session whose grant demands a second factor steps up by a statement of its own, which uses nothing of the grant.
bool is_stepping_up(const admission::Check& found, Oid function) {
    return found.access == enforcement::Access::second_factor && pg::in_control_database() &&
           pg::is_extension_function(function, "jit_step_up");
}

bool is_stepping_up(const admission::Check& found, const QueryDesc* query) {
    return found.access == enforcement::Access::second_factor &&
           is_stepping_up(found, pg::sole_function_called(query->plannedstmt));
}

// True: allowed and on the record. False: not under a grant.
bool admit(const QueryDesc* query) {
    const auto found = check(query);
    if (!found.under_grant() || is_stepping_up(found, query)) return false;
    if (!found.allowed()) admission::refuse(found, describe::query(query));
    admission::record(found, describe::query(query));
    return true;
}

bool readmit(const QueryDesc* query) {
    const auto found = check(query);
    const bool is_open = recorder::is_open(query);
    // A cursor of a role that was left meanwhile still fetches what that role may see.
    if (!found.under_grant() || is_stepping_up(found, query)) return is_open;
    if (!found.allowed()) admission::refuse(found, describe::query(query));
    // One that began without the grant, which came meanwhile, is on the record from here on.
    if (is_open)
        admission::go_on(found);
    else
        admission::record(found, describe::query(query));
    return true;
}

void executor_start(QueryDesc* query, int flags) {
    if (unlikely(sandbox::active())) pg::guarded([query] { sandbox::check_query(query); });
    const auto start = next_start != nullptr ? next_start : standard_ExecutorStart;
    if (likely(enforcement::holds_no_grant() && !may_borrow(query)) || (flags & EXEC_FLAG_EXPLAIN_ONLY) != 0 ||
        !can_look() || !pg::guarded([query] { return admit(query); })) {
        start(query, flags);
        return;
    }
    run_recorded(query, [&] { start(query, flags); });
    recorder::leave(query);
}

// Without a handler: a worker does not outlive an error.
template <class Body>
void run_piece(Body&& body) {
    runs_piece = true;
    body();
    runs_piece = false;
}

void executor_run(JIT_RUN_PARAMETERS) {
    const auto run = next_run != nullptr ? next_run : standard_ExecutorRun;
    if (unlikely(is_leaders())) {
        run_piece([&] { run(JIT_RUN_ARGUMENTS); });
        return;
    }
    if (unlikely(sandbox::active())) pg::guarded([] { sandbox::check_piece(); });
    if (likely(enforcement::holds_no_grant() && !recorder::anything_open()) || !can_look() ||
        !pg::guarded([query] { return readmit(query); })) {
        run(JIT_RUN_ARGUMENTS);
        return;
    }
    run_recorded(query, [&] { run(JIT_RUN_ARGUMENTS); });
    recorder::leave(query, query->estate->es_processed);
}

// Triggers and writable CTEs are run to their end; nothing is left of what only reads.
bool has_work_left(const QueryDesc* query) noexcept {
    return query->operation != CMD_SELECT || query->plannedstmt->hasModifyingCTE;
}

void executor_finish(QueryDesc* query) {
    const auto finish = next_finish != nullptr ? next_finish : standard_ExecutorFinish;
    if (likely(!recorder::anything_open()) || !has_work_left(query)) {
        finish(query);
        return;
    }
    run_recorded(query, [&] { finish(query); });
    recorder::leave(query);
}

void executor_end(QueryDesc* query) {
    (next_end != nullptr ? next_end : standard_ExecutorEnd)(query);
    if (unlikely(recorder::anything_open())) recorder::complete(query);
}

// ---- utility commands -----------------------------------------------------------------------------------------------

// Leaving a role, a transaction or a session state is never refused: that is how one gets out.
bool leads_out(const Node* command) {
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

// In a failed transaction, where only leaving it is possible, what was known before is used.
bool admit(const PlannedStmt* command, const char* source, ParamListInfo parameters) {
    if (is_leaders()) return false;
    const bool out = leads_out(command->utilityStmt);
    if (out) session::settle_soon();
    const auto check = !IsTransactionState() ? admission::check(enforcement::cached_grants())
                       : out                 ? admission::check(enforcement::current_grants())
                                             : admission::check();
    if (!check.under_grant()) return false;
    if (check.allowed()) {
        admission::record(check, describe::command(command, source, parameters));
        return true;
    }
    if (out) return false;
    admission::refuse(check, describe::command(command, source));
}

void check_guards(const PlannedStmt* command, const char* source) {
    try {
        guard::check_under_grant(command->utilityStmt);
        guard::check_managed(command->utilityStmt);
    } catch (const core::Failure& failure) {
        const auto check = admission::check();
        if (check.under_grant()) admission::note_refusal(check, describe::command(command, source), failure);
        throw;
    }
}

// A pooler hands the session to another client.
void forget_step_up(const Node* command) noexcept {
    if (reinterpret_cast<const DiscardStmt*>(command)->target == DISCARD_ALL) second_factor_state::clear_session_mark();
}

void process_utility(PlannedStmt* command, const char* source, bool read_only_tree, ProcessUtilityContext context,
                     ParamListInfo params, QueryEnvironment* environment, DestReceiver* receiver,
                     QueryCompletion* completion) {
    const auto process = next_utility != nullptr ? next_utility : standard_ProcessUtility;
    const auto run = [&] {
        process(command, source, read_only_tree, context, params, environment, receiver, completion);
    };
    if (can_look()) pg::guarded([&] { check_guards(command, source); });
    if (unlikely(sandbox::active())) pg::guarded([&] { sandbox::check_command(command->utilityStmt); });
    if (IsA(command->utilityStmt, DiscardStmt)) forget_step_up(command->utilityStmt);
    if (likely(enforcement::holds_no_grant()) || context == PROCESS_UTILITY_SUBCOMMAND ||
        !pg::guarded([&] { return admit(command, source, params); })) {
        run();
        return;
    }
    run_recorded(command, run);
    recorder::leave(command);
    recorder::complete(command, completion != nullptr ? completion->nprocessed : 0);
}

// ---- objects --------------------------------------------------------------------------------------------------------

// This is the only place that sees a function called by the fast-path message, which has no statement, no plan and no
// portal, and one called by an expression of plpgsql in a block that has been running since before the grant.
bool is_unseen_call() noexcept {
    if (MyBackendType != B_BACKEND || recorder::anything_running()) return false;
    return ActivePortal != nullptr || debug_query_string == nullptr;
}

std::int64_t called_at = 0;  // when the command began that such a function was recorded in last

void admit_function(Oid function) {
    const auto check = admission::check();
    if (!check.under_grant() || is_stepping_up(check, function)) return;
    if (!check.allowed()) admission::refuse(check, describe::function(function));
    // Closed when another command makes one; by the end of its transaction; or by the error that is reported.
    if (called_at != pg::command_start())
        while (recorder::is_open(describe::key_of_calls())) recorder::complete(describe::key_of_calls());
    admission::record(check, describe::function(function));
    called_at = pg::command_start();
}

void check_call(Oid function) {
    try {
        guard::check_call(function);
    } catch (const core::Failure& failure) {
        const auto check = admission::check();
        if (check.under_grant()) admission::note_refusal(check, describe::function(function), failure);
        throw;
    }
}

void function_execute(Oid function) {
    if (unlikely(sandbox::active())) pg::guarded([=] { sandbox::check_function(function); });
    if (likely(enforcement::holds_no_grant()) || !can_look()) return;
    if (is_unseen_call()) pg::guarded([=] { admit_function(function); });
    pg::guarded([=] { check_call(function); });
}

void object_access(ObjectAccessType access, Oid object_class, Oid object, int sub_id, void* argument) {
    if (next_access != nullptr) next_access(access, object_class, object, sub_id, argument);
    if (access == OAT_FUNCTION_EXECUTE) {
        function_execute(object);
        return;
    }
    const bool is_watched = unlikely(!enforcement::holds_no_grant() || sandbox::active());
    if ((access == OAT_POST_CREATE || access == OAT_POST_ALTER) && is_watched && can_look())
        pg::guarded([=] { guard::check_made(object_class, object, sub_id); });
    if (access == OAT_DROP && (object_class == ExtensionRelationId || object_class == DatabaseRelationId))
        pg::guarded([=] { guard::check_drop(object_class, object); });
    if ((access == OAT_POST_CREATE || access == OAT_POST_ALTER) && object_class == ProcedureRelationId)
        pg::guarded([=] { guard::check_function_name(object); });
}

// ---- errors ---------------------------------------------------------------------------------------------------------

void on_report(ErrorData* error) {
    if (next_log != nullptr) next_log(error);
    if (error->elevel < ERROR || MyBackendType != B_BACKEND || shared_state == nullptr) return;
    // A code that was not taken is still one: neither the server log nor the list of sessions shows it.
    if (debug_query_string != nullptr && pg::may_hold_code(debug_query_string)) {
        error->hide_stmt = true;
        error->hide_ctx = true;
        pg::report_command(pg::hidden_command);
    }
    // With exit_on_error, which anybody may set, an error ends the session as well.
    if (error->elevel != ERROR && !(error->elevel == FATAL && ExitOnAnyError)) return;
    const std::string_view state(unpack_sql_state(error->sqlerrcode));
    if (called_at == pg::command_start()) recorder::fail(describe::key_of_calls(), state);
    const auto raiser = pg::is_extension_error(*error)              ? denied_attempt::Raiser::extension
                        : pg::is_relayed_by_parallel_worker(*error) ? denied_attempt::Raiser::unknown_process
                                                                    : denied_attempt::Raiser::somebody;
    denied_attempt::seen({.raiser = raiser,
                          .ends_session = error->elevel == FATAL,
                          .sqlstate = state,
                          .message = error->message != nullptr ? error->message : "",
                          .statement = debug_query_string != nullptr ? debug_query_string : ""});
}

// ---- shared memory --------------------------------------------------------------------------------------------------

std::size_t board_bytes() noexcept {
    return SharedState::bytes(static_cast<std::size_t>(settings::max_grants), pg::session_limit());
}

void request_shared_memory() {
    if (next_request != nullptr) next_request();
    RequestAddinShmemSpace(board_bytes());
    pg::request_locks();
}

// Runs again when the postmaster makes shared memory anew after a crash: everything starts empty, the journal recovers.
void set_up_shared_memory() {
    if (next_startup != nullptr) next_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    bool found = false;
    void* memory = ShmemInitStruct("jit_access", board_bytes(), &found);
    if (!found) {
        memset(memory, 0, board_bytes());
        shared_state = new (memory) SharedState;
        shared_state->started_as_standby = access(STANDBY_SIGNAL_FILE, F_OK) == 0;
        shared_state->slot_count = static_cast<std::uint32_t>(settings::max_grants);
        shared_state->session_count = pg::session_limit();
        second_factor_state::initialize();
    }
    shared_state = static_cast<SharedState*>(memory);
    LWLockRelease(AddinShmemInitLock);
    if (!found) journal::open();
}

}  // namespace

void install_shared_memory() {
    next_request = std::exchange(shmem_request_hook, request_shared_memory);
    next_startup = std::exchange(shmem_startup_hook, set_up_shared_memory);
}

void install() {
    next_start = std::exchange(ExecutorStart_hook, executor_start);
    next_run = std::exchange(ExecutorRun_hook, executor_run);
    next_finish = std::exchange(ExecutorFinish_hook, executor_finish);
    next_end = std::exchange(ExecutorEnd_hook, executor_end);
    next_utility = std::exchange(ProcessUtility_hook, process_utility);
    sandbox::install();
    next_access = std::exchange(object_access_hook, object_access);
    next_log = std::exchange(emit_log_hook, on_report);
}

}  // namespace jit::hooks
