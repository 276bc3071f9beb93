#include "jit_access/hooks.hpp"

#include <new>
#include <unistd.h>

#include "jit_access/enforcement/denied_attempt.hpp"
#include "jit_access/enforcement/recorder.hpp"
#include "jit_access/enforcement/session.hpp"
#include "jit_access/pg/locks.hpp"
#include "jit_access/pg/redact_secrets.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/signals.hpp"
#include "jit_access/pg/version_shims.hpp"
#include "jit_access/record/journal_file.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/second_factor_state.hpp"
#include "jit_access/statements/admit_statement.hpp"
#include "jit_access/statements/foreign_code.hpp"
#include "jit_access/statements/guard_managed.hpp"
#include "jit_access/statements/guard_named_roles.hpp"
#include "jit_access/statements/guard_names.hpp"
#include "jit_access/statements/guard_objects.hpp"
#include "jit_access/statements/guard_toast.hpp"
#include "jit_access/statements/sandbox.hpp"

extern "C" {
#include "access/parallel.h"
#include "access/xlog.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_largeobject.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
}

namespace jit::hooks {

namespace {

ExecutorStart_hook_type previous_start = nullptr;
ExecutorRun_hook_type previous_run = nullptr;
ExecutorFinish_hook_type previous_finish = nullptr;
ExecutorEnd_hook_type previous_end = nullptr;
ProcessUtility_hook_type previous_utility = nullptr;
object_access_hook_type previous_object_access = nullptr;
emit_log_hook_type previous_emit_log = nullptr;
shmem_request_hook_type previous_shmem_request = nullptr;
shmem_startup_hook_type previous_shmem_startup = nullptr;

// A parallel worker runs a part of its leader's plan, which the leader has admitted and recorded. The worker sends its
// rows to the leader through a queue (ParallelQueryMain() in src/backend/executor/execParallel.c). Everything else that
// a worker runs is admitted as in any other process. This includes statements of functions in that plan, and
// expressions of an index that the worker builds.
bool is_leaders_plan(const QueryDesc* query) noexcept {
    return IsParallelWorker() && query->dest != nullptr && query->dest->mydest == DestTupleQueue;
}

// Admission reads catalogs, which is possible only inside a transaction.
bool can_admit() noexcept { return IsTransactionState(); }

// If the statement is cancelled because the session leaves its grant, adds this reason to the current error.
void explain_cancel() noexcept {
    if (geterrcode() != ERRCODE_QUERY_CANCELED) return;
    if (const auto id = session::ended_grant(); id != 0)
        errdetail("Grant %llu has ended; the session goes on without it.", static_cast<unsigned long long>(id));
}

// Runs one part of the execution of a recorded statement. An ERROR closes the statement's use here and is rethrown,
// because ExecutorEnd is not called after an ERROR.
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

// ExecutorStart_hook: a planned query is about to be initialized, at any depth (client, function, trigger, cursor). We
// refuse it, or put its intent on the record before it can read anything. EXPLAIN without ANALYZE does not run its
// query; only the EXPLAIN command is recorded.
void executor_start(QueryDesc* query, int flags) {
    if (unlikely(sandbox::is_active())) pg::guarded([query] { sandbox::check_query(query); });
    const auto start = previous_start != nullptr ? previous_start : standard_ExecutorStart;
    if (likely(enforcement::holds_no_grant() && !admit_statement::reads_as_other_role(query->plannedstmt))) {
        start(query, flags);
        return;
    }
    pg::remember_signal_handlers();  // in a parallel worker, the leader's plan runs first
    if ((flags & EXEC_FLAG_EXPLAIN_ONLY) != 0 || is_leaders_plan(query) || !can_admit() ||
        !pg::guarded([query] { return admit_statement::query(query); })) {
        start(query, flags);
        return;
    }
    run_recorded(query, [&] { start(query, flags); });
    recorder::leave(query);
}

// ExecutorRun_hook: rows are about to be produced. For a portal, the server calls this hook for each fetch of the
// client. We count the rows, and check the grants again on each call, because the deadline may have passed since the
// portal was opened.
void executor_run(JIT_RUN_PARAMETERS) {
    const auto run = previous_run != nullptr ? previous_run : standard_ExecutorRun;
    if (unlikely(sandbox::is_active())) pg::guarded([] { sandbox::check_continued_query(); });
    if (likely(enforcement::holds_no_grant() && !recorder::has_open_uses()) || is_leaders_plan(query) || !can_admit() ||
        !pg::guarded([query] { return admit_statement::continued_query(query); })) {
        run(JIT_RUN_ARGUMENTS);
        return;
    }
    run_recorded(query, [&] { run(JIT_RUN_ARGUMENTS); });
    recorder::leave(query, query->estate->es_processed);
}

// ExecutorFinish fires the queued AFTER triggers and runs modifying CTEs to their end; for a query that only reads, it
// does nothing.
bool has_work_left(const QueryDesc* query) noexcept {
    return query->operation != CMD_SELECT || query->plannedstmt->hasModifyingCTE;
}

// ExecutorFinish_hook: the last rows were produced. We only mark the statement as running, so that statements of
// triggers are recorded as nested in it and an ERROR closes its use.
void executor_finish(QueryDesc* query) {
    const auto finish = previous_finish != nullptr ? previous_finish : standard_ExecutorFinish;
    if (likely(!recorder::has_open_uses()) || !has_work_left(query)) {
        finish(query);
        return;
    }
    run_recorded(query, [&] { finish(query); });
    recorder::leave(query);
}

// ExecutorEnd_hook: the query has ended without an ERROR. We record its outcome after the server has released the
// query's resources.
void executor_end(QueryDesc* query) {
    (previous_end != nullptr ? previous_end : standard_ExecutorEnd)(query);
    if (unlikely(recorder::has_open_uses())) recorder::complete(query);
}

// ---- utility commands -----------------------------------------------------------------------------------------------

// A connection pooler runs DISCARD ALL before it gives the session to another client. That client has not stepped up.
void forget_step_up(const Node* command) noexcept {
    if (reinterpret_cast<const DiscardStmt*>(command)->target == DISCARD_ALL) second_factor_state::clear_session_mark();
}

// ProcessUtility_hook: a command other than SELECT, INSERT, UPDATE, DELETE or MERGE is about to run. Guards are checked
// for every command, including the parts into which the server splits a command (PROCESS_UTILITY_SUBCOMMAND); such a
// part is recorded with the command that contains it.
void process_utility(PlannedStmt* command, const char* source, bool read_only_tree, ProcessUtilityContext context,
                     ParamListInfo params, QueryEnvironment* environment, DestReceiver* receiver,
                     QueryCompletion* completion) {
    const auto process = previous_utility != nullptr ? previous_utility : standard_ProcessUtility;
    const auto run = [&] {
        const auto mark = guard::begin_command();
        process(command, source, read_only_tree, context, params, environment, receiver, completion);
        if (unlikely(guard::has_unfinished(mark))) pg::guarded([&] { guard::check_unfinished(mark); });
    };
    if (can_admit()) pg::guarded([&] { admit_statement::check_guards(command, source); });
    if (unlikely(sandbox::is_active())) pg::guarded([&] { sandbox::check_command(command->utilityStmt); });
    if (IsA(command->utilityStmt, DiscardStmt)) forget_step_up(command->utilityStmt);
    if (likely(enforcement::holds_no_grant()) || context == PROCESS_UTILITY_SUBCOMMAND ||
        !pg::guarded([&] { return admit_statement::command(command, source, params); })) {
        run();
        return;
    }
    run_recorded(command, run);
    recorder::leave(command);
    recorder::complete(command, completion != nullptr ? completion->nprocessed : 0);
}

// ---- objects --------------------------------------------------------------------------------------------------------

void check_function(Oid function) {
    if (unlikely(sandbox::is_active())) pg::guarded([=] { sandbox::check_function(function); });
    if (likely(enforcement::holds_no_grant()) || !can_admit()) return;
    pg::guarded([=] { admit_statement::function_call(function); });
}

// Whether the server creates or changes the object for its own purposes. An example is the new heap of a materialized
// view or of a rewritten table, which belongs to the owner of the old heap.
bool is_internal(ObjectAccessType access, const void* argument) noexcept {
    if (argument == nullptr) return false;
    return access == OAT_POST_CREATE ? static_cast<const ObjectAccessPostCreate*>(argument)->is_internal
                                     : static_cast<const ObjectAccessPostAlter*>(argument)->is_internal;
}

// object_access_hook: an object is used, was created or changed, or is about to be dropped
// (src/backend/catalog/objectaccess.c). A function that is about to run is admitted or refused. An object that a
// session has created or changed under a grant is examined as it now is in the catalogs. The extension and its database
// may not be dropped while grants exist, and no function or type may get a name that begins with jit_.
void object_access(ObjectAccessType access, Oid object_class, Oid object, int sub_id, void* argument) {
    if (previous_object_access != nullptr) previous_object_access(access, object_class, object, sub_id, argument);
    if (access == OAT_FUNCTION_EXECUTE) {
        check_function(object);
        return;
    }
    const bool is_made = access == OAT_POST_CREATE || access == OAT_POST_ALTER;
    const bool may_use_grant = unlikely(!enforcement::holds_no_grant() || sandbox::is_active());
    if (access == OAT_POST_CREATE && object_class == RelationRelationId && InSecurityRestrictedOperation() &&
        !static_cast<const ObjectAccessPostCreate*>(argument)->is_internal)
        pg::guarded([=] { guard::check_index_of_owner(object); });
    if (is_made && may_use_grant && can_admit())
        pg::guarded([=] { guard::check_created_object(object_class, object, sub_id); });
    if (access == OAT_DROP && may_use_grant && can_admit())
        pg::guarded([=] { guard::check_dropped_object(object_class, object); });
    if (access == OAT_DROP && (object_class == ExtensionRelationId || object_class == DatabaseRelationId))
        pg::guarded([=] { guard::check_drop(object_class, object); });
    // lo_create() is not a utility command, so its effect on closures is noted here. A large object that is created
    // after SET ROLE belongs to the chosen role.
    if (access == OAT_POST_CREATE && object_class == LargeObjectRelationId && GetUserId() != GetSessionUserId())
        commit_actions::change_closures();
    if (is_made && !is_internal(access, argument) && can_admit())
        pg::guarded([=] { guard::check_named_roles(object_class, object); });
    if (is_made && (object_class == ProcedureRelationId || object_class == TypeRelationId))
        pg::guarded([=] { guard::check_reserved_name(object_class, object); });
}

// ---- errors ---------------------------------------------------------------------------------------------------------

// Even a one-time code that was not accepted is a secret, so neither the server log nor pg_stat_activity may show it.
void hide_code(ErrorData* error) noexcept {
    if (debug_query_string == nullptr || !pg::command_holds_code()) return;
    error->hide_stmt = true;
    error->hide_ctx = true;
    pg::report_command(pg::hidden_command);
}

// emit_log_hook: a message is about to be sent to the server log and the client (EmitErrorReport() in
// src/backend/utils/error/elog.c), after the statement's effects have been undone. If a privilege is found to be
// missing while a statement is parsed, no other hook is called. We treat such an error as a denied attempt. Nothing
// here may raise an error.
void emit_log(ErrorData* error) {
    if (previous_emit_log != nullptr) previous_emit_log(error);
    if (error->elevel < ERROR || shared_state == nullptr) return;
    const bool has_client = MyBackendType == B_BACKEND || MyBackendType == B_WAL_SENDER;
    if (has_client) hide_code(error);
    // With exit_on_error, which any user may set, an ERROR is raised to FATAL and ends the session.
    if (error->elevel != ERROR && !(error->elevel == FATAL && ExitOnAnyError)) return;
    const std::string_view sqlstate(unpack_sql_state(error->sqlerrcode));
    admit_statement::fail_function_calls(sqlstate);
    if (!has_client) return;
    const auto source = pg::is_extension_error(*error)              ? denied_attempt::ErrorSource::extension
                        : pg::is_relayed_by_parallel_worker(*error) ? denied_attempt::ErrorSource::relayed
                                                                    : denied_attempt::ErrorSource::other;
    denied_attempt::on_error_reported({.source = source,
                                       .ends_session = error->elevel == FATAL,
                                       .sqlstate = sqlstate,
                                       .message = error->message != nullptr ? error->message : "",
                                       .statement = debug_query_string != nullptr ? debug_query_string : ""});
}

// ---- shared memory --------------------------------------------------------------------------------------------------

std::size_t shared_memory_size() noexcept {
    return SharedState::bytes(static_cast<std::size_t>(settings::max_grants), pg::session_limit());
}

// shmem_request_hook: the postmaster asks preloaded libraries how much shared memory and which locks they need. We ask
// for SharedState with its arrays and for the locks of pg/locks.
void request_shared_memory() {
    if (previous_shmem_request != nullptr) previous_shmem_request();
    RequestAddinShmemSpace(shared_memory_size());
    pg::request_locks();
}

// shmem_startup_hook: shared memory has been created and must be initialized. The hook runs again after a crash, when
// the postmaster has created shared memory anew. We construct SharedState in zeroed memory and open the journal, which
// recovers its own contents. With EXEC_BACKEND every process calls this hook, so this is done only if `found` is false.
void initialize_shared_memory() {
    if (previous_shmem_startup != nullptr) previous_shmem_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    bool found = false;
    void* memory = ShmemInitStruct("jit_access", shared_memory_size(), &found);
    if (!found) {
        memset(memory, 0, shared_memory_size());
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
    previous_shmem_request = std::exchange(shmem_request_hook, request_shared_memory);
    previous_shmem_startup = std::exchange(shmem_startup_hook, initialize_shared_memory);
}

void install() {
    previous_start = std::exchange(ExecutorStart_hook, executor_start);
    previous_run = std::exchange(ExecutorRun_hook, executor_run);
    previous_finish = std::exchange(ExecutorFinish_hook, executor_finish);
    previous_end = std::exchange(ExecutorEnd_hook, executor_end);
    previous_utility = std::exchange(ProcessUtility_hook, process_utility);
    sandbox::install();
    foreign_code::install();
    guard::install_toast_guard();
    previous_object_access = std::exchange(object_access_hook, object_access);
    previous_emit_log = std::exchange(emit_log_hook, emit_log);
}

}  // namespace jit::hooks
