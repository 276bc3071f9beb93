#include "jit_access/pg/direct_call.hpp"

#include <algorithm>
#include <span>

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/relation.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "commands/prepare.h"
#include "executor/execdesc.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "tcop/pquery.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"
#include "utils/syscache.h"
}

namespace jit::pg {

namespace {

// expression_tree_walker() and similar functions are declared with a K&R-style callback before PostgreSQL 16.
using Walker = bool (*)();

template <class Node_>
Walker walker(bool (*visit)(Node_*, void*)) {
    return reinterpret_cast<Walker>(reinterpret_cast<void*>(visit));
}

bool expression_contains(Node* node, void* call) {
    if (node == nullptr) return false;
    return node == call || expression_tree_walker(node, walker(expression_contains), call);
}

bool list_contains(List* expressions, void* call) {
    return expression_contains(reinterpret_cast<Node*>(expressions), call);
}

// Searches target lists, conditions and functions in FROM for the call.
bool plan_contains(PlanState* state, void* call) {
    if (state == nullptr) return false;
    if (list_contains(state->plan->targetlist, call) || list_contains(state->plan->qual, call)) return true;
    if (IsA(state->plan, FunctionScan) && list_contains(reinterpret_cast<FunctionScan*>(state->plan)->functions, call))
        return true;
    return planstate_tree_walker(state, walker(plan_contains), call);
}

// pg_cron connects as the owner of a job, who may not have scheduled it knowingly. pg_cron sends its own name in the
// startup packet, and nothing that the session runs can change that initial name.
bool is_pg_cron_job() noexcept { return initial_application_name() == "pg_cron"; }

// Returns the statement that the client has sent, or null. That statement runs in the unnamed portal; cursors and
// EXECUTE run in named portals. A prepared statement counts only if it was prepared through the protocol, because SQL's
// PREPARE in other code could have replaced it under the same name.
const QueryDesc* statement_of_client() {
    if (MyBackendType != B_BACKEND || InSecurityRestrictedOperation() || ActivePortal == nullptr) return nullptr;
    if (ActivePortal->name[0] != '\0' || ActivePortal->strategy != PORTAL_ONE_SELECT) return nullptr;
    if (ActivePortal->prepStmtName != nullptr) {
        const auto* prepared = FetchPreparedStatement(ActivePortal->prepStmtName, false);
        if (prepared == nullptr || prepared->from_sql) return nullptr;
    }
    return ActivePortal->queryDesc;
}

// COERCE_EXPLICIT_CALL excludes casts and operators that call the function.
bool is_call_of(const FuncExpr* call, Oid function) {
    return call != nullptr && IsA(call, FuncExpr) && call->funcid == function &&
           call->funcformat == COERCE_EXPLICIT_CALL;
}

// Returns a relation of the plan that belongs neither to the server nor to the extension; 0 if there is none.
Oid find_foreign_relation(const PlannedStmt* plan) {
    const Oid own_schema = get_namespace_oid("jit_access", false);
    ListCell* cell = nullptr;
    foreach (cell, plan->relationOids) {
        const Oid relation = lfirst_oid(cell);
        if (relation >= FirstNormalObjectId && get_rel_namespace(relation) != own_schema) return relation;
    }
    return InvalidOid;
}

// Hash values of the extension's functions. A plan stores its dependencies on functions by the hash of their OID in the
// syscache (PlanInvalItem).
std::span<const uint32> hashes_of_own_functions() {
    List* hashes = NIL;
    Relation depend = table_open(DependRelationId, AccessShareLock);
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(ExtensionRelationId));
    ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(get_extension_oid("jit_access", false)));
    SysScanDesc scan = systable_beginscan(depend, DependReferenceIndexId, true, nullptr, 2, keys);
    while (HeapTuple row = systable_getnext(scan)) {
        const auto* dependency = reinterpret_cast<Form_pg_depend>(GETSTRUCT(row));
        if (dependency->classid == ProcedureRelationId && dependency->deptype == DEPENDENCY_EXTENSION)
            hashes = lappend_oid(hashes, GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(dependency->objid)));
    }
    systable_endscan(scan);
    table_close(depend, AccessShareLock);

    const auto count = static_cast<std::size_t>(list_length(hashes));
    auto* result = static_cast<uint32*>(palloc(sizeof(uint32) * (count + 1)));
    for (std::size_t i = 0; i < count; ++i) result[i] = list_nth_oid(hashes, static_cast<int>(i));
    return {result, count};
}

// Plans do not list functions of the server, because these do not change (setrefs.c, record_plan_function_dependency).
bool uses_foreign_functions(const PlannedStmt* plan) {
    const auto own = hashes_of_own_functions();
    ListCell* cell = nullptr;
    foreach (cell, plan->invalItems) {
        const auto* item = lfirst_node(PlanInvalItem, cell);
        if (item->cacheId == PROCOID && std::find(own.begin(), own.end(), item->hashValue) == own.end()) return true;
    }
    return false;
}

// This is plain memory, because it is the result of a pg::call().
struct Objection {
    const char* sentence = nullptr;
    Oid relation = InvalidOid;
};

Objection find_objection(const FmgrInfo* function) {
    if (is_pg_cron_job()) return {"It is a job of pg_cron."};
    const QueryDesc* statement = statement_of_client();
    auto* call = reinterpret_cast<FuncExpr*>(function->fn_expr);
    if (statement == nullptr || !is_call_of(call, function->fn_oid) || !plan_contains(statement->planstate, call))
        return {
            "The call is inside of something else: a function, a trigger, a DO block, a cursor, a prepared "
            "statement or another command."};
    if (call->location < 0)
        return {"The call comes from a view, a policy or another expression that is kept in the database."};
    if (const Oid relation = find_foreign_relation(statement->plannedstmt); OidIsValid(relation))
        return {nullptr, relation};
    if (uses_foreign_functions(statement->plannedstmt))
        return {"The statement uses a function or an operator that belongs neither to the server nor to jit_access."};
    return {};
}

// A constant or a parameter, possibly with a cast that changes nothing.
bool is_value(const Node* argument) noexcept {
    while (argument != nullptr && IsA(argument, RelabelType))
        argument = reinterpret_cast<const Node*>(reinterpret_cast<const RelabelType*>(argument)->arg);
    return argument != nullptr && (IsA(argument, Const) || IsA(argument, Param));
}

}  // namespace

std::uint32_t sole_function_called(const PlannedStmt* plan) noexcept {
    const Plan* top = plan->planTree;
    if (plan->commandType != CMD_SELECT || plan->subplans != NIL || top == nullptr || !IsA(top, Result) ||
        top->lefttree != nullptr || list_length(top->targetlist) != 1)
        return InvalidOid;
    if (reinterpret_cast<const Result*>(top)->resconstantqual != nullptr) return InvalidOid;
    const auto* call = reinterpret_cast<const FuncExpr*>(linitial_node(TargetEntry, top->targetlist)->expr);
    if (!IsA(call, FuncExpr)) return InvalidOid;
    const ListCell* cell = nullptr;
    foreach (cell, call->args) {
        if (!is_value(static_cast<const Node*>(lfirst(cell)))) return InvalidOid;
    }
    return call->funcid;
}

bool is_extension_function(std::uint32_t function, const char* name) {
    if (function < FirstNormalObjectId) return false;
    return call([=] {
        const char* actual = get_func_name(function);
        return actual != nullptr && strcmp(actual, name) == 0 && get_func_namespace(function) == PG_CATALOG_NAMESPACE &&
               getExtensionOfObject(ProcedureRelationId, function) == get_extension_oid("jit_access", true);
    });
}

std::optional<std::string> objection_to_call(FunctionCallInfo info) {
    const auto objection = call([&] { return find_objection(info->flinfo); });
    if (objection.sentence != nullptr) return objection.sentence;
    if (!OidIsValid(objection.relation)) return std::nullopt;
    return "The statement reads " + std::string(relation_name(objection.relation)) +
           ", which does not belong to jit_access.";
}

}  // namespace jit::pg
