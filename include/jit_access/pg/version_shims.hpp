// Differences between PostgreSQL 15 and 18. No file outside pg/ tests PG_VERSION_NUM; test/arch/zones checks it.
#pragma once

#include "jit_access/pg/acl.hpp"
#include "jit_access/pg/server.hpp"

extern "C" {
#include "catalog/pg_auth_members.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#if PG_VERSION_NUM >= 180000
#include "utils/funccache.h"
#endif
}

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "jit_access supports PostgreSQL 15 to 18"
#endif

// PostgreSQL 18 removed the parameter execute_once of ExecutorRun and its hook.
#if PG_VERSION_NUM >= 180000
#define JIT_RUN_PARAMETERS QueryDesc *query, ScanDirection direction, uint64 count
#define JIT_RUN_ARGUMENTS query, direction, count
#else
#define JIT_RUN_PARAMETERS QueryDesc *query, ScanDirection direction, uint64 count, bool execute_once
#define JIT_RUN_ARGUMENTS query, direction, count, execute_once
#endif

namespace jit::pg {

// Whether each membership has INHERIT and SET options.
inline constexpr bool memberships_have_options = PG_VERSION_NUM >= 160000;

// Either of these allows VACUUM, ANALYZE and similar commands: ownership or, from 17 on, the privilege MAINTAIN.
#if PG_VERSION_NUM >= 170000
inline constexpr AclBits to_maintain = ownership | ACL_MAINTAIN;
#else
inline constexpr AclBits to_maintain = ownership;
#endif

// Whether the member has the privileges without SET ROLE. Before 16 this is an attribute of the member.
inline bool is_inherited(const FormData_pg_auth_members& membership, bool member_inherits) noexcept {
#if PG_VERSION_NUM >= 160000
    (void)member_inherits;
    return membership.inherit_option;
#else
    (void)membership;
    return member_inherits;
#endif
}

// Whether a role has a privilege on an object that is not a relation. Before 16 the object must be a function, schema
// or database.
#if PG_VERSION_NUM >= 160000
inline bool may(Oid object_class, Oid object, Oid role, AclMode privilege) {
    return object_aclcheck(object_class, object, role, privilege) == ACLCHECK_OK;
}
#else
inline bool may(Oid object_class, Oid object, Oid role, AclMode privilege) {
    switch (object_class) {
        case ProcedureRelationId: return pg_proc_aclcheck(object, role, privilege) == ACLCHECK_OK;
        case NamespaceRelationId: return pg_namespace_aclcheck(object, role, privilege) == ACLCHECK_OK;
        default: return pg_database_aclcheck(object, role, privilege) == ACLCHECK_OK;
    }
}
#endif

// ALTER COLUMN … SET EXPRESSION, from PostgreSQL 17 on.
inline bool is_set_expression(AlterTableType action) noexcept {
#if PG_VERSION_NUM >= 170000
    return action == AT_SetExpression;
#else
    (void)action;
    return false;
#endif
}

inline std::uint32_t process_number() noexcept {
#if PG_VERSION_NUM >= 170000
    return static_cast<std::uint32_t>(MyProcNumber);
#else
    return static_cast<std::uint32_t>(MyProc->pgprocno);
#endif
}

inline std::uint32_t local_transaction_number() noexcept {
#if PG_VERSION_NUM >= 170000
    return MyProc->vxid.lxid;
#else
    return MyProc->lxid;
#endif
}

// Returns the SQL function for which fmgr_sql() has pushed an entry on error_context_stack. `argument` is the argument
// of that entry: the FmgrInfo of the call or, from PostgreSQL 18 on, an SQLFunctionCache, which begins with a pointer
// to the CachedFunction.
inline Oid function_of_context(const void* argument) noexcept {
#if PG_VERSION_NUM >= 180000
    return (*static_cast<CachedFunction* const*>(argument))->fn_hashkey->funcOid;
#else
    return static_cast<const FmgrInfo*>(argument)->fn_oid;
#endif
}

// Inserts the index entries of a row that has been inserted into its table.
inline void insert_into_indexes(ResultRelInfo* target, TupleTableSlot* slot, EState* executor) {
#if PG_VERSION_NUM >= 160000
    list_free(ExecInsertIndexTuples(target, slot, executor, false, false, nullptr, NIL, false));
#else
    list_free(ExecInsertIndexTuples(target, slot, executor, false, false, nullptr, NIL));
#endif
}

// The relations whose privileges the executor checks. From 16 on they are a separate list; before 16 they are in the
// range table.
#if PG_VERSION_NUM >= 160000
inline const List* checked_relations(const PlannedStmt* plan) noexcept { return plan->permInfos; }
inline const List* checked_relations(const Query* query) noexcept { return query->rteperminfos; }
#else
inline const List* checked_relations(const PlannedStmt* plan) noexcept { return plan->rtable; }
inline const List* checked_relations(const Query* query) noexcept { return query->rtable; }
#endif

// Calls visit(CheckedRelation) for each relation of a plan, or of a query without its subqueries, on which privileges
// are checked.
template <class Statement, class Visit>
void for_each_checked_relation(const Statement* statement, Visit&& visit) {
    const ListCell* cell = nullptr;
    foreach (cell, checked_relations(statement)) {
#if PG_VERSION_NUM >= 160000
        const auto* checked = lfirst_node(RTEPermissionInfo, cell);
#else
        const auto* checked = lfirst_node(RangeTblEntry, cell);
        if (checked->rtekind != RTE_RELATION) continue;
#endif
        if (checked->requiredPerms != 0)
            visit(CheckedRelation{checked->relid,
                                  checked->requiredPerms,
                                  {checked->checkAsUser},
                                  checked->selectedCols,
                                  checked->insertedCols,
                                  checked->updatedCols});
    }
}

}  // namespace jit::pg
