#include "jit_access/pg/acl.hpp"

#include <algorithm>

#include "jit_access/pg/server.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/bitmapset.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/syscache.h"
}

namespace jit::pg {

namespace {

bool contains(std::span<const RoleId> roles, Oid role) noexcept {
    return std::any_of(roles.begin(), roles.end(), [role](const RoleId& candidate) { return candidate.oid == role; });
}

AclBits granted_in(const Acl* list, std::span<const RoleId> roles) noexcept {
    AclBits bits = 0;
    const AclItem* items = ACL_DAT(list);
    for (int i = 0; i < ACL_NUM(list); ++i)
        if (items[i].ai_grantee == ACL_ID_PUBLIC || contains(roles, items[i].ai_grantee))
            bits |= ACLITEM_GET_PRIVS(items[i]);
    return bits;
}

// The predefined roles have their privileges on every relation, even without an entry in its access list (aclchk.c).
AclBits granted_by_predefined_roles(std::span<const RoleId> roles) noexcept {
    return (contains(roles, ROLE_PG_READ_ALL_DATA) ? AclBits{ACL_SELECT} : 0) |
           (contains(roles, ROLE_PG_WRITE_ALL_DATA) ? AclBits{ACL_INSERT | ACL_UPDATE | ACL_DELETE} : 0);
}

// ---- within pg::call ------------------------------------------------------------------------------------------------

AttrNumber column_count(Oid relation) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple)) return 0;
    const AttrNumber count = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relnatts;
    ReleaseSysCache(tuple);
    return count;
}

struct Column {
    bool exists;
    bool has_list;
    AclBits granted;
};

// Returns zeros if there is no such column.
Column read_column(Oid relation, int number, std::span<const RoleId> roles) {
    HeapTuple tuple =
        SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(static_cast<AttrNumber>(number)));
    if (!HeapTupleIsValid(tuple)) return {};
    Column column{.exists = !reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attisdropped};
    bool is_null = false;
    const Datum list = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attacl, &is_null);
    column.has_list = !is_null;
    if (!is_null) column.granted = granted_in(DatumGetAclP(list), roles);
    ReleaseSysCache(tuple);
    return column;
}

// Follows ExecCheckOneRelPerms() and pg_attribute_aclcheck_all(): a statement that uses no column in particular, such
// as count(*), needs the privilege on any column; one that uses the whole row needs it on all of them.
bool has_privilege_on_columns(Oid relation, AclBits privilege, const Bitmapset* used, std::span<const RoleId> roles) {
    int present = 0;
    int granted = 0;
    for (int i = column_count(relation); i > 0; --i) {
        const auto column = read_column(relation, i, roles);
        present += column.exists ? 1 : 0;
        granted += column.exists && (column.granted & privilege) != 0 ? 1 : 0;
    }
    if (bms_is_empty(used)) return granted > 0;
    for (int member = bms_next_member(used, -1); member >= 0; member = bms_next_member(used, member)) {
        const int number = member + FirstLowInvalidHeapAttributeNumber;
        const bool ok = number == InvalidAttrNumber ? granted == present
                                                    : (read_column(relation, number, roles).granted & privilege) != 0;
        if (!ok) return false;
    }
    return true;
}

}  // namespace

AclBits privileges_on_relation(std::uint32_t relation, std::span<const RoleId> roles) {
    return call([&]() -> AclBits {
        HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
        if (!HeapTupleIsValid(tuple)) return 0;
        AclBits bits = granted_by_predefined_roles(roles);
        const auto* row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
        const bool owns = contains(roles, row->relowner);
        if (owns) bits |= ownership;
        bool is_null = false;
        const Datum list = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relacl, &is_null);
        // A NULL list stands for the default, in which the owner has all privileges. An explicit list may omit the
        // owner.
        if (!is_null)
            bits |= granted_in(DatumGetAclP(list), roles);
        else if (owns)
            bits |= row->relkind == RELKIND_SEQUENCE ? ACL_ALL_RIGHTS_SEQUENCE : ACL_ALL_RIGHTS_RELATION;
        ReleaseSysCache(tuple);
        return bits;
    });
}

bool has_column_privileges(std::uint32_t relation) {
    return call([&] {
        for (int i = column_count(relation); i > 0; --i)
            if (read_column(relation, i, {}).has_list) return true;
        return false;
    });
}

FunctionAccess function_access(std::uint32_t function, std::span<const RoleId> roles) {
    return call([&]() -> FunctionAccess {
        HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
        if (!HeapTupleIsValid(tuple)) return {.may_execute = true};
        const auto* row = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
        bool is_null = false;
        const Datum list = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proacl, &is_null);
        // The default is EXECUTE for PUBLIC. An explicit list may omit the owner.
        const FunctionAccess access{
            .may_execute = is_null || (granted_in(DatumGetAclP(list), roles) & ACL_EXECUTE) != 0,
            .is_compiled = row->prolang == INTERNALlanguageId || row->prolang == ClanguageId,
            .is_volatile = row->provolatile == PROVOLATILE_VOLATILE};
        ReleaseSysCache(tuple);
        return access;
    });
}

AclBits privileges_on_columns(const CheckedRelation& checked, AclBits missing, std::span<const RoleId> roles) {
    const std::pair<AclBits, const Bitmapset*> used_columns[] = {{ACL_SELECT, checked.selected},
                                                                 {ACL_INSERT, checked.inserted},
                                                                 {ACL_UPDATE, checked.updated},
                                                                 {ACL_REFERENCES, checked.referenced}};
    return call([&] {
        AclBits granted = 0;
        for (const auto& [privilege, columns] : used_columns)
            if ((missing & privilege) != 0 && has_privilege_on_columns(checked.relation, privilege, columns, roles))
                granted |= privilege;
        return granted;
    });
}

// Follows object_aclmask() in catalog/aclchk.c: a NULL list stands for the default, which may include privileges of
// PUBLIC.
AclBits privileges_on_object(std::uint32_t object_class, std::uint32_t object, std::span<const RoleId> roles) {
    return call([&]() -> AclBits {
        const int cache = get_object_catcache_oid(object_class);
        HeapTuple tuple = SearchSysCache1(cache, ObjectIdGetDatum(object));
        if (!HeapTupleIsValid(tuple)) return 0;
        bool is_null = false;
        const Oid owner =
            DatumGetObjectId(SysCacheGetAttr(cache, tuple, get_object_attnum_owner(object_class), &is_null));
        const Datum list = SysCacheGetAttr(cache, tuple, get_object_attnum_acl(object_class), &is_null);
        const AclBits bits =
            granted_in(is_null ? acldefault(get_object_type(object_class, object), owner) : DatumGetAclP(list), roles) |
            (contains(roles, owner) ? ownership : AclBits{0});
        ReleaseSysCache(tuple);
        return bits;
    });
}

}  // namespace jit::pg
