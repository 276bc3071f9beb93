#include "jit_access/statements/sandbox.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/effective_grants.hpp"
#include "jit_access/pg/version_shims.hpp"
#include "jit_access/statements/required_privileges.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "commands/proclang.h"
#include "executor/execdesc.h"
#include "optimizer/plancat.h"
#include "parser/parsetree.h"
#include "tcop/cmdtag.h"
#include "tcop/pquery.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/portal.h"
#include "utils/syscache.h"
}

namespace jit::sandbox {

Mode mode = Mode::off;

namespace {

bool code_allowed = false;
Findings* findings = nullptr;

// The portal and the subtransaction in which the Scope was created. While it exists, no more rows may be fetched from
// queries that were started before it.
Portal scope_portal = nullptr;
SubTransactionId scope_subtransaction = InvalidSubTransactionId;

needs_fmgr_hook_type previous_needs_fmgr = nullptr;
fmgr_hook_type previous_fmgr = nullptr;
get_relation_info_hook_type previous_relation_info = nullptr;

// The refusal is stored before it is thrown, because the statement may catch the error and succeed.
[[noreturn]] void refuse(const std::string& what, const std::string& why) {
    if (findings != nullptr && !findings->refusal) findings->refusal = what + ": " + why;
    throw core::Failure(core::Code::guarded, what, why, "Leave it out of the dry run.");
}

// ---- functions ------------------------------------------------------------------------------------------------------

// Volatile functions of the server that leave nothing behind after a rollback, and nextval(), whose gaps the dry run
// reports.
bool is_harmless(std::string_view name) {
    constexpr std::array<std::string_view, 18> names = {"nextval",
                                                        "currval",
                                                        "lastval",
                                                        "random",
                                                        "random_normal",
                                                        "gen_random_uuid",
                                                        "uuidv4",
                                                        "uuidv7",
                                                        "clock_timestamp",
                                                        "timeofday",
                                                        "pg_sleep",
                                                        "pg_notify",
                                                        "txid_current",
                                                        "pg_current_xact_id",
                                                        "pg_advisory_xact_lock",
                                                        "pg_advisory_xact_lock_shared",
                                                        "pg_try_advisory_xact_lock",
                                                        "pg_try_advisory_xact_lock_shared"};
    return std::find(names.begin(), names.end(), name) != names.end();
}

struct Function {
    Oid language;
    bool is_volatile;
    bool is_cover_trigger;  // event trigger of this extension, which extends templates to new tables
    bool is_fdw_handler;
    const char* name;
};

Function find_function(Oid function) {
    HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(row)) return {InvalidOid, true, false, false, ""};
    const auto* procedure = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
    const char* name = pstrdup(NameStr(procedure->proname));
    const char* schema = get_namespace_name(procedure->pronamespace);
    const Function result{procedure->prolang, procedure->provolatile == PROVOLATILE_VOLATILE,
                          procedure->prolang == ClanguageId && schema != nullptr &&
                              std::string_view(schema) == "jit_access" && std::string_view(name) == "cover_new_objects",
                          procedure->prolang == ClanguageId && procedure->prorettype == FDW_HANDLEROID, name};
    ReleaseSysCache(row);
    return result;
}

// C code was installed by a superuser, so its declared volatility is trusted to show whether it has side effects. SQL
// and PL/pgSQL act only through statements and functions, each of which is checked. Other languages can act outside of
// the server.
bool may_run(const Function& one, Oid function) {
    if (one.language == INTERNALlanguageId) return !one.is_volatile || (mode == Mode::execute && is_harmless(one.name));
    // The handler of a foreign-data wrapper only returns the functions of the wrapper. The server may have called the
    // handler before and kept its result, so foreign tables are refused instead of the handler.
    if (one.language == ClanguageId)
        return function < FirstNormalObjectId || !one.is_volatile || one.is_cover_trigger || one.is_fdw_handler;
    return mode == Mode::execute &&
           (one.language == SQLlanguageId || one.language == get_language_oid("plpgsql", true));
}

// needs_fmgr_hook: the server asks whether a function call is to be wrapped (fmgr_info_cxt_security() in
// src/backend/utils/fmgr/fmgr.c), once for each function of an expression, before the expression is evaluated.
bool needs_fmgr(Oid function) {
    if (unlikely(is_active())) pg::guarded([function] { check_function(function); });
    return previous_needs_fmgr != nullptr && previous_needs_fmgr(function);
}

// fmgr_hook: a wrapped function starts or ends. Functions with SECURITY DEFINER or SET are always wrapped, so they
// reach only this hook.
void fmgr_event(FmgrHookEventType event, FmgrInfo* info, Datum* argument) {
    if (unlikely(is_active()) && event == FHET_START) pg::guarded([info] { check_function(info->fn_oid); });
    if (previous_fmgr != nullptr) previous_fmgr(event, info, argument);
}

// ---- foreign tables -------------------------------------------------------------------------------------------------

// get_relation_info_hook: the planner has read a relation's metadata and has not yet asked the foreign server.
void relation_info(PlannerInfo* root, Oid relation, bool is_parent, RelOptInfo* info) {
    if (unlikely(is_active()) && get_rel_relkind(relation) == RELKIND_FOREIGN_TABLE)
        pg::guarded([] { refuse("a foreign table is not used in a dry run", "No rollback reaches its server."); });
    if (previous_relation_info != nullptr) previous_relation_info(root, relation, is_parent, info);
}

bool has_foreign_part(Oid relation) {
    const ListCell* cell = nullptr;
    foreach (cell, find_all_inheritors(relation, NoLock, nullptr))
        if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_FOREIGN_TABLE) return true;
    return false;
}

// A partitioned table may have foreign partitions that the plan reaches only while it runs.
bool writes_to_foreign(const PlannedStmt* plan) {
    const ListCell* cell = nullptr;
    foreach (cell, plan->resultRelations) {
        const auto* target = rt_fetch(lfirst_int(cell), plan->rtable);
        if (target->rtekind == RTE_RELATION && has_foreign_part(target->relid)) return true;
    }
    return false;
}

bool truncates_foreign(const TruncateStmt* truncate) {
    const ListCell* cell = nullptr;
    foreach (cell, truncate->relations) {
        const Oid relation = RangeVarGetRelid(lfirst_node(RangeVar, cell), NoLock, true);
        if (OidIsValid(relation) && has_foreign_part(relation)) return true;
    }
    return false;
}

// ---- tables of the extension, grants of others ----------------------------------------------------------------------

// Views of the extension are allowed, because they restrict what each user sees.
bool reads_extension_tables(const PlannedStmt* plan) {
    const Oid extension_schema = get_namespace_oid("jit_access", true);
    const ListCell* cell = nullptr;
    foreach (cell, plan->rtable) {
        const auto* entry = lfirst_node(RangeTblEntry, cell);
        if (entry->rtekind == RTE_RELATION && get_rel_namespace(entry->relid) == extension_schema &&
            get_rel_relkind(entry->relid) != RELKIND_VIEW)
            return true;
    }
    return false;
}

void refuse_live_grants(const PlannedStmt* plan) {
    bool uses_grant = enforcement::current_grants() != nullptr;
    pg::for_each_checked_relation(plan, [&](const pg::CheckedRelation& checked) {
        uses_grant = uses_grant || (checked.owner && enforcement::grants_of_owner(checked.owner) != nullptr);
    });
    if (uses_grant)
        refuse("a grant that is live is not used in a dry run", "That would use the grant instead of rehearsing.");
}

// Parallel workers do not know of the dry run, so a function would run in them unchecked. The dry run sets the limits
// for workers to 0; a function with a SET clause may raise them again.
[[noreturn]] void refuse_other_processes() {
    refuse("no other process takes part in a dry run", "Functions would run there without the checks of the dry run.");
}

// ---- commands -------------------------------------------------------------------------------------------------------

// Of the commands that the guards allow, those that a rollback undoes completely. All others are refused.
bool is_rolled_back_fully(const Node* command) {
    switch (nodeTag(command)) {
        case T_CreateStmt:
        case T_CreateTableAsStmt:
        case T_AlterTableStmt:
        case T_CreateSeqStmt:
        case T_AlterSeqStmt:
        case T_RenameStmt:
        case T_AlterObjectSchemaStmt:
        case T_CommentStmt:
        case T_TruncateStmt:
        case T_LockStmt:
        case T_ExplainStmt:
        case T_CreateSchemaStmt:
        case T_CompositeTypeStmt:
        case T_CreateEnumStmt:
        case T_AlterEnumStmt:
        case T_CreateRangeStmt:
        case T_CreateDomainStmt:
        case T_AlterDomainStmt:
        case T_DefineStmt:
        case T_CreateFunctionStmt:
        case T_AlterFunctionStmt:
        case T_ViewStmt:
        case T_CreateTrigStmt:
        case T_RuleStmt:
        case T_CreatePolicyStmt:
        case T_AlterPolicyStmt:
        case T_CreateStatsStmt:
        case T_AlterStatsStmt:
        case T_CallStmt:
        case T_DoStmt:
        case T_ConstraintsSetStmt:
        case T_NotifyStmt:
        case T_VariableShowStmt: return true;
        case T_IndexStmt: return !reinterpret_cast<const IndexStmt*>(command)->concurrent;
        case T_DropStmt: return !reinterpret_cast<const DropStmt*>(command)->concurrent;
        case T_RefreshMatViewStmt: return !reinterpret_cast<const RefreshMatViewStmt*>(command)->concurrent;
        default: return false;
    }
}

// Settings that other sessions cannot observe and that do not change how the dry run itself works.
bool is_settable(const VariableSetStmt* set) {
    constexpr std::array<std::string_view, 10> names = {
        "search_path",           "lock_timeout",      "statement_timeout", "work_mem",
        "maintenance_work_mem",  "timezone",          "datestyle",         "intervalstyle",
        "check_function_bodies", "default_tablespace"};
    return set->name != nullptr && std::find_if(names.begin(), names.end(), [set](std::string_view name) {
                                       return pg_strcasecmp(std::string(name).c_str(), set->name) == 0;
                                   }) != names.end();
}

}  // namespace

Scope::Scope(Mode scope_mode, bool allows_code, Findings& into) noexcept {
    findings = &into;
    code_allowed = allows_code;
    scope_portal = ActivePortal;
    scope_subtransaction = GetCurrentSubTransactionId();
    // Plans that were made before the dry run are not planned again, so the planner hooks would not be called for them.
    if (scope_mode == Mode::execute) ResetPlanCache();
    mode = scope_mode;
}

Scope::~Scope() {
    mode = Mode::off;
    findings = nullptr;
}

std::optional<bool> allows_code() noexcept { return is_active() ? std::optional(code_allowed) : std::nullopt; }

void check_function(std::uint32_t function) {
    const auto called = pg::call([function] { return find_function(function); });
    if (pg::call([&] { return may_run(called, function); })) return;
    refuse(std::string("function ") + (called.name != nullptr ? called.name : "") + " is not called in a dry run",
           mode == Mode::check_only ? "Nothing is run where a statement is only checked."
                                    : "Its effects may outlive a rollback.");
}

// The order matters, because missing privileges must be collected even if the query is refused for another reason.
void check_query(const QueryDesc* query) {
    const PlannedStmt* plan = query->plannedstmt;
    if (mode == Mode::check_only) refuse("no query is run", "Nothing is run where a statement is only checked.");
    required_privileges::append_missing(query, findings->missing);
    if (plan->parallelModeNeeded) refuse_other_processes();
    refuse_live_grants(plan);
    if (pg::call([plan] { return reads_extension_tables(plan); }))
        refuse("tables of jit_access are not used in a dry run", "They are for the extension alone.");
    if (pg::call([plan] { return writes_to_foreign(plan); }))
        refuse("a foreign table is not used in a dry run", "No rollback reaches its server.");
}

// A cursor that was opened before the scope began has already initialized its functions, so the hooks of functions do
// not see them.
void check_continued_query() {
    if (ActivePortal == nullptr || ActivePortal == scope_portal || ActivePortal->createSubid >= scope_subtransaction)
        return;
    refuse("a cursor that was opened before is not read in a dry run",
           "Functions that it calls were checked before the dry run began, if at all.");
}

void check_command(const Node* command) {
    if (mode == Mode::check_only) refuse("no command is run", "Nothing is run where a statement is only checked.");
    const std::string tag = GetCommandTagName(CreateCommandTag(const_cast<Node*>(command)));
    if (IsA(command, VariableSetStmt)) {
        if (is_settable(reinterpret_cast<const VariableSetStmt*>(command))) return;
        refuse(tag + " of this setting is not run in a dry run", "A dry run allows only the settings that it needs.");
    }
    if (max_parallel_maintenance_workers > 0) refuse_other_processes();
    if (!is_rolled_back_fully(command))
        refuse(tag + " is not run in a dry run", "A rollback does not take all of it back.");
    if (IsA(command, TruncateStmt) &&
        pg::call([command] { return truncates_foreign(reinterpret_cast<const TruncateStmt*>(command)); }))
        refuse("a foreign table is not used in a dry run", "No rollback reaches its server.");
}

void install() {
    previous_needs_fmgr = std::exchange(needs_fmgr_hook, needs_fmgr);
    previous_fmgr = std::exchange(fmgr_hook, fmgr_event);
    previous_relation_info = std::exchange(get_relation_info_hook, relation_info);
}

}  // namespace jit::sandbox
