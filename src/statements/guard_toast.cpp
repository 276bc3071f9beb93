#include "jit_access/statements/guard_toast.hpp"

#include <utility>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/role.hpp"
#include "jit_access/pg/server.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "nodes/pathnodes.h"
#include "optimizer/plancat.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

namespace jit::guard {

namespace {

get_relation_info_hook_type previous_relation_info = nullptr;

// The relation on which the TOAST table depends, or 0. The name of a TOAST table contains the OID of a table, but not
// always of the table to which it belongs, because CLUSTER and ALTER TABLE swap TOAST tables.
Oid find_main_table(Oid toast) {
    Oid result = InvalidOid;
    Relation depend = table_open(DependRelationId, AccessShareLock);
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(RelationRelationId));
    ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(toast));
    SysScanDesc scan = systable_beginscan(depend, DependDependerIndexId, true, nullptr, 2, keys);
    while (HeapTuple row = systable_getnext(scan)) {
        const auto* dependency = reinterpret_cast<Form_pg_depend>(GETSTRUCT(row));
        if (dependency->refclassid == RelationRelationId && dependency->deptype == DEPENDENCY_INTERNAL)
            result = dependency->refobjid;
    }
    systable_endscan(scan);
    table_close(depend, AccessShareLock);
    return result;
}

void check_toast(Oid toast) {
    if (!pg::in_control_database() || pg::is_superuser(pg::current_user())) return;
    const bool is_ours = pg::call([=] {
        const Oid schema = get_namespace_oid("jit_access", true);
        const Oid table = find_main_table(toast);
        return OidIsValid(schema) && OidIsValid(table) && get_rel_namespace(table) == schema;
    });
    if (!is_ours) return;
    throw core::Failure(core::Code::not_permitted, "permission denied for a TOAST table of jit_access",
                        "It holds values of rows that only the functions and views of jit_access show.",
                        "Read the views of jit_access.");
}

void relation_info(PlannerInfo* root, Oid relation, bool inhparent, RelOptInfo* info) {
    if (previous_relation_info != nullptr) previous_relation_info(root, relation, inhparent, info);
    if (likely(planner_rt_fetch(info->relid, root)->relkind != RELKIND_TOASTVALUE)) return;
    pg::guarded([=] { check_toast(relation); });
}

}  // namespace

void install_toast_guard() { previous_relation_info = std::exchange(get_relation_info_hook, relation_info); }

}  // namespace jit::guard
