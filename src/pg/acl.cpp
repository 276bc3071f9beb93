#include "jit_access/pg/acl.hpp"

#include <algorithm>

#include "jit_access/pg/server.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "nodes/bitmapset.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/syscache.h"
}

namespace jit::pg {

namespace {

bool contains(std::span<const RoleId> roles, Oid role) noexcept {
    return std::any_of(roles.begin(), roles.end(), [role](const RoleId& one) { return one.oid == role; });
}

AclBits given_to(const Acl* list, std::span<const RoleId> roles) noexcept {
    AclBits bits = 0;
    const AclItem* items = ACL_DAT(list);
    for (int i = 0; i < ACL_NUM(list); ++i)
        if (items[i].ai_grantee == ACL_ID_PUBLIC || contains(roles, items[i].ai_grantee))
            bits |= ACLITEM_GET_PRIVS(items[i]);
    return bits;
}

AclBits given_by_office(std::span<const RoleId> roles) noexcept {
    return (contains(roles, ROLE_PG_READ_ALL_DATA) ? AclBits{ACL_SELECT} : 0) |
           (contains(roles, ROLE_PG_WRITE_ALL_DATA) ? AclBits{ACL_INSERT | ACL_UPDATE | ACL_DELETE} : 0);
}

// ---- within pg::call ------------------------------------------------------------------------------------------------

AttrNumber columns_of(Oid relation) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple)) return 0;
    const AttrNumber count = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relnatts;
    ReleaseSysCache(tuple);
    return count;
}

struct Column {
    bool exists;
    bool has_list;
    AclBits given;
};

Column look_at(Oid relation, int number, std::span<const RoleId> roles) {
    HeapTuple tuple =
        SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(static_cast<AttrNumber>(number)));
    if (!HeapTupleIsValid(tuple)) return {};
    Column column{.exists = !reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attisdropped};
    bool none = false;
    const Datum list = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attacl, &none);
    column.has_list = !none;
    if (!none) column.given = given_to(DatumGetAclP(list), roles);
    ReleaseSysCache(tuple);
    return column;
}

// As the server checks: of no column in particular, one will do; of the whole row, all.
bool has_columns(Oid relation, AclBits privilege, const Bitmapset* asked, std::span<const RoleId> roles) {
    int present = 0;
    int given = 0;
    for (int i = columns_of(relation); i > 0; --i) {
        const auto column = look_at(relation, i, roles);
        present += column.exists ? 1 : 0;
        given += column.exists && (column.given & privilege) != 0 ? 1 : 0;
    }
    if (bms_is_empty(asked)) return given > 0;
    for (int member = bms_next_member(asked, -1); member >= 0; member = bms_next_member(asked, member)) {
        const int number = member + FirstLowInvalidHeapAttributeNumber;
        const bool ok =
            number == InvalidAttrNumber ? given == present : (look_at(relation, number, roles).given & privilege) != 0;
        if (!ok) return false;
    }
    return true;
}

}  // namespace

AclBits privileges_on_relation(std::uint32_t relation, std::span<const RoleId> roles) {
    return call([&]() -> AclBits {
        HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
        if (!HeapTupleIsValid(tuple)) return 0;
        AclBits bits = given_by_office(roles);
        const auto* row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
        const bool is_owners = contains(roles, row->relowner);
        if (is_owners) bits |= ownership;
        bool none = false;
        const Datum list = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relacl, &none);
        // Until somebody makes a list the owner has everything; then he may have been left out.
        if (!none)
            bits |= given_to(DatumGetAclP(list), roles);
        else if (is_owners)
            bits |= row->relkind == RELKIND_SEQUENCE ? ACL_ALL_RIGHTS_SEQUENCE : ACL_ALL_RIGHTS_RELATION;
        ReleaseSysCache(tuple);
        return bits;
    });
}

bool has_column_privileges(std::uint32_t relation) {
    return call([&] {
        for (int i = columns_of(relation); i > 0; --i)
            if (look_at(relation, i, {}).has_list) return true;
        return false;
    });
}

AclBits privileges_on_columns(const CheckedRelation& checked, AclBits missing, std::span<const RoleId> roles) {
    const std::pair<AclBits, const Bitmapset*> asked[] = {
        {ACL_SELECT, checked.selected}, {ACL_INSERT, checked.inserted}, {ACL_UPDATE, checked.updated}};
    return call([&] {
        AclBits given = 0;
        for (const auto& [privilege, columns] : asked)
            if ((missing & privilege) != 0 && has_columns(checked.relation, privilege, columns, roles))
                given |= privilege;
        return given;
    });
}

}  // namespace jit::pg
