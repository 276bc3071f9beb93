#include "jit_access/statements/guard_named_roles.hpp"

#include <string>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/server.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_default_acl.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_shdepend.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
}

namespace jit::guard {

namespace {

// Objects that a session creates as jit_grant_<id> or as the temporary login belong to that role, and are reassigned at
// the end of the grant. CREATE SCHEMA ... AUTHORIZATION makes the new owner the current user before it creates the
// schema, so only the role that the session has chosen counts there.
bool is_maker(Oid object_class, Oid owner, const char* name) {
    const std::string_view role(name);
    if (!role.starts_with(core::grant_role_prefix) && !role.starts_with(core::login_role_prefix)) return false;
    return owner == GetOuterUserId() || (owner == GetUserId() && object_class != NamespaceRelationId);
}

// The name of the first managed role that the object must not name; null if there is none.
const char* find_refused_role(Oid object_class, Oid object) {
    Relation dependencies = table_open(SharedDependRelationId, AccessShareLock);
    const Oid database = IsSharedRelation(object_class) ? InvalidOid : MyDatabaseId;
    ScanKeyData keys[3];
    ScanKeyInit(&keys[0], Anum_pg_shdepend_dbid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(database));
    ScanKeyInit(&keys[1], Anum_pg_shdepend_classid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object_class));
    ScanKeyInit(&keys[2], Anum_pg_shdepend_objid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
    // The changes of the running command are visible only with SnapshotSelf.
    SysScanDesc scan =
        systable_beginscan(dependencies, SharedDependDependerIndexId, true, SnapshotSelf, lengthof(keys), keys);
    const char* found = nullptr;
    while (HeapTuple row = found == nullptr ? systable_getnext(scan) : nullptr) {
        const auto* dependency = reinterpret_cast<Form_pg_shdepend>(GETSTRUCT(row));
        if (dependency->refclassid != AuthIdRelationId) continue;
        // A template's role may own objects, and sessions under its grants may alter them. Therefore only rows that
        // this transaction has written are checked.
        if (!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row->t_data))) continue;
        // An entry of an access list may come from default privileges that a superuser has given to a template. GRANT
        // itself is checked as a command.
        if (dependency->deptype == SHARED_DEPENDENCY_ACL && object_class != DefaultAclRelationId) continue;
        const char* name = GetUserNameFromId(dependency->refobjid, true);
        if (!is_managed(name)) continue;
        if (dependency->deptype == SHARED_DEPENDENCY_OWNER && is_maker(object_class, dependency->refobjid, name))
            continue;
        found = name;
    }
    systable_endscan(scan);
    table_close(dependencies, AccessShareLock);
    return found;
}

}  // namespace

bool is_managed(const char* role) noexcept {
    if (role == nullptr) return false;
    const std::string_view name(role);
    return name.starts_with(core::grant_role_prefix) || name.starts_with(core::gate_role_prefix) ||
           name.starts_with(core::login_role_prefix) || name.starts_with(core::template_role_prefix) ||
           name.starts_with(core::quarantine_role_prefix) || name.starts_with(core::drill_role_prefix) ||
           name == core::marker_role;
}

void refuse_managed_role(const char* role) {
    throw core::Failure(
        core::Code::guarded, std::string("role \"") + role + "\" is managed by jit_access",
        "Changing it by hand would give, keep or hide access that was not approved.",
        "Use the jit_* functions; a superuser can still repair it by hand, which is recorded as drift.");
}

void check_named_roles(std::uint32_t object_class, std::uint32_t object) {
    const char* role = pg::call([&]() -> const char* {
        if (superuser_arg(GetUserId()) || superuser_arg(GetOuterUserId())) return nullptr;
        return find_refused_role(object_class, object);
    });
    if (role != nullptr) refuse_managed_role(role);
}

}  // namespace jit::guard
