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

// Declared without parameters before 16.
using Walker = bool (*)();

template <class Node_>
Walker walker(bool (*visit)(Node_*, void*)) {
    return reinterpret_cast<Walker>(reinterpret_cast<void*>(visit));
}

bool expression_holds(Node* node, void* call) {
    if (node == nullptr) return false;
    return node == call || expression_tree_walker(node, walker(expression_holds), call);
}

bool any_holds(List* expressions, void* call) { return expression_holds(reinterpret_cast<Node*>(expressions), call); }

// Where a call is looked for: what is selected, the conditions on it, and FROM.
bool plan_holds(PlanState* state, void* call) {
    if (state == nullptr) return false;
    if (any_holds(state->plan->targetlist, call) || any_holds(state->plan->qual, call)) return true;
    if (IsA(state->plan, FunctionScan) && any_holds(reinterpret_cast<FunctionScan*>(state->plan)->functions, call))
        return true;
    return planstate_tree_walker(state, walker(plan_holds), call);
}

// A job of pg_cron comes as a login of its owner, who may have been made to schedule it. What a client says of itself
// as it connects, nothing that the session runs can change.
bool is_from_cron() noexcept { return initial_application_name() == "pg_cron"; }

// The statement that the client has sent. Cursors and EXECUTE have portals with names; and under the name of a
// statement that the client has prepared by the protocol, PREPARE can have put another.
const QueryDesc* statement_of_client() {
    if (MyBackendType != B_BACKEND || InSecurityRestrictedOperation() || ActivePortal == nullptr) return nullptr;
    if (ActivePortal->name[0] != '\0' || ActivePortal->strategy != PORTAL_ONE_SELECT) return nullptr;
    if (ActivePortal->prepStmtName != nullptr) {
        const auto* prepared = FetchPreparedStatement(ActivePortal->prepStmtName, false);
        if (prepared == nullptr || prepared->from_sql) return nullptr;
    }
    return ActivePortal->queryDesc;
}

bool is_call_of(const FuncExpr* call, Oid function) {
    return call != nullptr && IsA(call, FuncExpr) && call->funcid == function &&
           call->funcformat == COERCE_EXPLICIT_CALL;
}

Oid foreign_relation(const PlannedStmt* plan) {
    const Oid ours = get_namespace_oid("jit_access", false);
    ListCell* cell = nullptr;
    foreach (cell, plan->relationOids) {
        const Oid relation = lfirst_oid(cell);
        if (relation >= FirstNormalObjectId && get_rel_namespace(relation) != ours) return relation;
    }
    return InvalidOid;
}

// The functions of the extension, by the hash under which a plan notes them.
std::span<const uint32> own_functions() {
    List* hashes = NIL;
    Relation depend = table_open(DependRelationId, AccessShareLock);
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(ExtensionRelationId));
    ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(get_extension_oid("jit_access", false)));
    SysScanDesc scan = systable_beginscan(depend, DependReferenceIndexId, true, nullptr, 2, keys);
    while (HeapTuple row = systable_getnext(scan)) {
        const auto* found = reinterpret_cast<Form_pg_depend>(GETSTRUCT(row));
        if (found->classid == ProcedureRelationId && found->deptype == DEPENDENCY_EXTENSION)
            hashes = lappend_oid(hashes, GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(found->objid)));
    }
    systable_endscan(scan);
    table_close(depend, AccessShareLock);

    const auto count = static_cast<std::size_t>(list_length(hashes));
    auto* result = static_cast<uint32*>(palloc(sizeof(uint32) * (count + 1)));
    for (std::size_t i = 0; i < count; ++i) result[i] = list_nth_oid(hashes, static_cast<int>(i));
    return {result, count};
}

// Functions of the server are not noted: nobody changes them.
bool uses_foreign_functions(const PlannedStmt* plan) {
    const auto own = own_functions();
    ListCell* cell = nullptr;
    foreach (cell, plan->invalItems) {
        const auto* item = lfirst_node(PlanInvalItem, cell);
        if (item->cacheId == PROCOID && std::find(own.begin(), own.end(), item->hashValue) == own.end()) return true;
    }
    return false;
}

struct Finding {
    const char* why = nullptr;
    Oid relation = InvalidOid;
};

Finding look_at(const FmgrInfo* function) {
    if (is_from_cron()) return {"It is a job of pg_cron."};
    const QueryDesc* statement = statement_of_client();
    auto* call = reinterpret_cast<FuncExpr*>(function->fn_expr);
    if (statement == nullptr || !is_call_of(call, function->fn_oid) || !plan_holds(statement->planstate, call))
        return {
            "The call is inside of something else: a function, a trigger, a DO block, a cursor, a prepared "
            "statement or another command."};
    if (call->location < 0)
        return {"The call comes from a view, a policy or another expression that is kept in the database."};
    if (const Oid relation = foreign_relation(statement->plannedstmt); OidIsValid(relation)) return {nullptr, relation};
    if (uses_foreign_functions(statement->plannedstmt))
        return {"The statement uses a function or an operator that belongs neither to the server nor to jit_access."};
    return {};
}

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
        const char* found = get_func_name(function);
        return found != nullptr && strcmp(found, name) == 0 && get_func_namespace(function) == PG_CATALOG_NAMESPACE &&
               getExtensionOfObject(ProcedureRelationId, function) == get_extension_oid("jit_access", true);
    });
}

std::optional<std::string> objection_to_call(FunctionCallInfo info) {
    const auto found = call([&] { return look_at(info->flinfo); });
    if (found.why != nullptr) return found.why;
    if (!OidIsValid(found.relation)) return std::nullopt;
    return "The statement reads " + std::string(relation_name(found.relation)) +
           ", which does not belong to jit_access.";
}

}  // namespace jit::pg
