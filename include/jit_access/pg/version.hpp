// What differs between PostgreSQL 15 and 18, in one place. Nothing outside pg/ asks for a version.
#pragma once

#include "jit_access/pg/acl.hpp"
#include "jit_access/pg/server.hpp"

extern "C" {
#include "catalog/pg_auth_members.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "storage/proc.h"
#include "tcop/utility.h"
}

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "jit_access supports PostgreSQL 15 to 18"
#endif

// PG 18 dropped execute_once; the macros give hook signatures and calls that fit the server.
#if PG_VERSION_NUM >= 180000
#define JIT_RUN_PARAMETERS QueryDesc *query, ScanDirection direction, uint64 count
#define JIT_RUN_ARGUMENTS query, direction, count
#else
#define JIT_RUN_PARAMETERS QueryDesc *query, ScanDirection direction, uint64 count, bool execute_once
#define JIT_RUN_ARGUMENTS query, direction, count, execute_once
#endif

namespace jit::pg {

// A membership can say whether it is inherited and whether it allows SET ROLE (16 and later).
inline constexpr bool memberships_have_options = PG_VERSION_NUM >= 160000;

// Whether the member has the privileges without SET ROLE; before 16 that is an attribute of the member.
inline bool is_inherited(const FormData_pg_auth_members& membership, bool member_inherits) noexcept {
#if PG_VERSION_NUM >= 160000
    (void)member_inherits;
    return membership.inherit_option;
#else
    (void)membership;
    return member_inherits;
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

// Puts a row that has been written into the indexes of its table.
inline void insert_into_indexes(ResultRelInfo* target, TupleTableSlot* slot, EState* executor) {
#if PG_VERSION_NUM >= 160000
    list_free(ExecInsertIndexTuples(target, slot, executor, false, false, nullptr, NIL, false));
#else
    list_free(ExecInsertIndexTuples(target, slot, executor, false, false, nullptr, NIL));
#endif
}

// Calls visit(CheckedRelation) for each relation of a plan that is checked for privileges.
template <class Visit>
void for_each_checked_relation(const PlannedStmt* plan, Visit&& visit) {
    ListCell* cell = nullptr;
#if PG_VERSION_NUM >= 160000
    foreach (cell, plan->permInfos) {
        const auto* info = lfirst_node(RTEPermissionInfo, cell);
        if (info->requiredPerms != 0)
            visit(CheckedRelation{info->relid,
                                  info->requiredPerms,
                                  {info->checkAsUser},
                                  info->selectedCols,
                                  info->insertedCols,
                                  info->updatedCols});
    }
#else
    foreach (cell, plan->rtable) {
        const auto* entry = lfirst_node(RangeTblEntry, cell);
        if (entry->rtekind == RTE_RELATION && entry->requiredPerms != 0)
            visit(CheckedRelation{entry->relid,
                                  entry->requiredPerms,
                                  {entry->checkAsUser},
                                  entry->selectedCols,
                                  entry->insertedCols,
                                  entry->updatedCols});
    }
#endif
}

}  // namespace jit::pg
