#include "jit_access/pg/role.hpp"

#include <algorithm>

#include "jit_access/pg/error.hpp"
#include "jit_access/pg/version_shims.hpp"
#include "jit_access/pg/xact.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/catcache.h"
#include "utils/syscache.h"
}

namespace jit::pg {

RoleId session_user() noexcept { return {GetSessionUserId()}; }
RoleId current_user() noexcept { return {GetUserId()}; }

std::optional<RoleId> find_role(std::string_view name) {
    // No role has a longer name, and a lookup key of type name must be shorter than NAMEDATALEN.
    if (name.empty() || name.size() >= NAMEDATALEN) return std::nullopt;
    const std::string exact(name);
    const Oid oid = call([&] { return get_role_oid(exact.c_str(), true); });
    if (oid == InvalidOid) return std::nullopt;
    return RoleId{oid};
}

std::optional<std::string> role_name(RoleId role) {
    const char* name = call([&] { return GetUserNameFromId(role.oid, true); });
    if (name == nullptr) return std::nullopt;
    return name;
}

bool is_superuser(RoleId role) {
    return call([&] { return superuser_arg(role.oid); });
}

bool has_inherit_attribute(RoleId role) {
    return call([&] {
        HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role.oid));
        if (!HeapTupleIsValid(tuple)) return false;
        const bool result = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple))->rolinherit;
        ReleaseSysCache(tuple);
        return result;
    });
}

bool is_member(RoleId member, RoleId of) {
    return call([&] { return is_member_of_role_nosuper(member.oid, of.oid); });
}

bool has_admin_option(RoleId member, RoleId on) {
    return call([&] { return is_admin_of_role(member.oid, on.oid); });
}

bool has_inherited_privileges_of(RoleId member, RoleId of) {
    return call([&] {
        // has_privs_of_role() is true for every superuser; the membership test is not.
        if (superuser_arg(member.oid)) return is_member_of_role_nosuper(member.oid, of.oid);
        return has_privs_of_role(member.oid, of.oid);
    });
}

bool memberships_carry_options() noexcept { return memberships_have_options; }

namespace {

// Reads the memberships with this key from a syscache. `select` returns the role to collect from a row, or 0.
template <class Select>
std::vector<RoleId> read_memberships(int cache, RoleId key, Select&& select) {
    struct Roles {
        Oid* roles;
        int count;
    };
    const Roles collected = call([&] {
        CatCList* list = SearchSysCacheList1(cache, ObjectIdGetDatum(key.oid));
        Roles result{static_cast<Oid*>(palloc(sizeof(Oid) * (static_cast<std::size_t>(list->n_members) + 1))), 0};
        for (int i = 0; i < list->n_members; ++i) {
            const auto* row = reinterpret_cast<Form_pg_auth_members>(GETSTRUCT(&list->members[i]->tuple));
            const Oid role = select(*row);
            if (OidIsValid(role)) result.roles[result.count++] = role;
        }
        ReleaseSysCacheList(list);
        return result;
    });
    std::vector<RoleId> roles;
    roles.reserve(static_cast<std::size_t>(collected.count));
    for (int i = 0; i < collected.count; ++i) roles.push_back({collected.roles[i]});
    return roles;
}

}  // namespace

using Membership = FormData_pg_auth_members;

std::vector<RoleId> memberships(RoleId member) {
    return read_memberships(AUTHMEMMEMROLE, member, [](const Membership& row) { return row.roleid; });
}

std::vector<RoleId> inherited_memberships(RoleId member) {
    const bool inherits_all = has_inherit_attribute(member);
    return read_memberships(AUTHMEMMEMROLE, member, [inherits_all](const Membership& row) {
        return is_inherited(row, inherits_all) ? row.roleid : InvalidOid;
    });
}

std::vector<RoleId> members(RoleId of) {
    return read_memberships(AUTHMEMROLEMEM, of, [](const Membership& row) { return row.member; });
}

namespace {

bool lock(const LOCKTAG& tag, int patience) {
    // If the wait fails, only the subtransaction is rolled back. If it succeeds, the subtransaction is released and the
    // transaction keeps the lock. Errors other than a timeout, in particular a cancel request, are passed on.
    std::exception_ptr other_error;
    const auto fault = in_subtransaction([&] {
        const LockTimeoutScope timeout(patience);
        try {
            call([&] { (void)LockAcquire(&tag, ShareUpdateExclusiveLock, false, false); });
        } catch (const ServerError& error) {
            if (error.sqlstate() != sqlstate::lock_not_available) other_error = std::current_exception();
            throw;
        }
    });
    if (other_error) std::rethrow_exception(other_error);
    return !fault;
}

}  // namespace

bool lock_memberships_in(RoleId role, int patience) {
    if (!memberships_have_options) return true;
    LOCKTAG tag;
    SET_LOCKTAG_OBJECT(tag, InvalidOid, AuthIdRelationId, role.oid, 0);
    return lock(tag, patience);
}

std::vector<AccessList> access_lists_of(const std::string& relation) {
    const auto row = query_row(R"sql(
        SELECT oid, relnamespace FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1)
    )sql",
                               {relation});
    if (!row) return {};
    return {{NamespaceRelationId, row->get<RoleId>(1).oid}, {RelationRelationId, row->get<RoleId>(0).oid}};
}

namespace {

// The server locks whole objects, with subobject 0. A lock with subobject 1 therefore never conflicts with one of the
// server.
LOCKTAG tag_of(const AccessList& list) noexcept {
    LOCKTAG tag;
    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, list.catalog, list.object, 1);
    return tag;
}

}  // namespace

bool lock_access_list(const AccessList& list, int patience) { return lock(tag_of(list), patience); }

void lock_access_list(const AccessList& list) {
    const auto tag = tag_of(list);
    call([&] { (void)LockAcquire(&tag, ShareUpdateExclusiveLock, false, false); });
}

// The search is breadth-first. Closures are small, so a linear search is faster than a set.
std::vector<RoleId> closure(RoleId from) {
    std::vector<RoleId> roles{from};
    for (std::size_t i = 0; i < roles.size(); ++i)
        for (const RoleId next : memberships(roles[i]))
            if (std::find(roles.begin(), roles.end(), next) == roles.end()) roles.push_back(next);
    return roles;
}

}  // namespace jit::pg
