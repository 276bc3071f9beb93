#include "jit_access/pg/role.hpp"

#include <algorithm>

#include "jit_access/pg/error.hpp"
#include "jit_access/pg/version.hpp"
#include "jit_access/pg/xact.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
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
        // has_privs_of_role() says yes for every superuser; the membership test does not.
        if (superuser_arg(member.oid)) return is_member_of_role_nosuper(member.oid, of.oid);
        return has_privs_of_role(member.oid, of.oid);
    });
}

bool memberships_carry_options() noexcept { return memberships_have_options; }

namespace {

template <class Take>
std::vector<RoleId> from_cache(int cache, RoleId key, Take&& take) {
    struct Found {
        Oid* roles;
        int count;
    };
    const Found found = call([&] {
        CatCList* list = SearchSysCacheList1(cache, ObjectIdGetDatum(key.oid));
        Found result{static_cast<Oid*>(palloc(sizeof(Oid) * (static_cast<std::size_t>(list->n_members) + 1))), 0};
        for (int i = 0; i < list->n_members; ++i) {
            const auto* row = reinterpret_cast<Form_pg_auth_members>(GETSTRUCT(&list->members[i]->tuple));
            const Oid role = take(*row);
            if (OidIsValid(role)) result.roles[result.count++] = role;
        }
        ReleaseSysCacheList(list);
        return result;
    });
    std::vector<RoleId> roles;
    roles.reserve(static_cast<std::size_t>(found.count));
    for (int i = 0; i < found.count; ++i) roles.push_back({found.roles[i]});
    return roles;
}

}  // namespace

using Membership = FormData_pg_auth_members;

std::vector<RoleId> memberships(RoleId member) {
    return from_cache(AUTHMEMMEMROLE, member, [](const Membership& row) { return row.roleid; });
}

std::vector<RoleId> inherited_memberships(RoleId member) {
    const bool inherits_all = has_inherit_attribute(member);
    return from_cache(AUTHMEMMEMROLE, member, [inherits_all](const Membership& row) {
        return is_inherited(row, inherits_all) ? row.roleid : InvalidOid;
    });
}

std::vector<RoleId> members(RoleId of) {
    return from_cache(AUTHMEMROLEMEM, of, [](const Membership& row) { return row.member; });
}

bool lock_memberships_in(RoleId role, int patience) {
    if (!memberships_have_options) return true;
    LOCKTAG tag;
    SET_LOCKTAG_OBJECT(tag, InvalidOid, AuthIdRelationId, role.oid, 0);
    const int timeout = LockTimeout;
    std::exception_ptr other;
    const auto fault = in_subtransaction([&] {
        LockTimeout = timeout > 0 ? std::min(timeout, patience) : patience;
        try {
            call([&] { (void)LockAcquire(&tag, ShareUpdateExclusiveLock, false, false); });
        } catch (const ServerError& error) {
            if (error.sqlstate() != "55P03") other = std::current_exception();
            LockTimeout = timeout;
            throw;
        }
        LockTimeout = timeout;
    });
    if (other) std::rethrow_exception(other);
    return !fault;
}

std::vector<RoleId> closure(RoleId from) {
    std::vector<RoleId> roles{from};
    for (std::size_t i = 0; i < roles.size(); ++i)
        for (const RoleId next : memberships(roles[i]))
            if (std::find(roles.begin(), roles.end(), next) == roles.end()) roles.push_back(next);
    return roles;
}

}  // namespace jit::pg
