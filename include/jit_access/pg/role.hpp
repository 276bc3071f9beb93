// Roles and their memberships, as the catalogs have them.
//
// A person is identified by the session user: the role that the client authenticated as, independent of SET ROLE.
// Functions that are not noexcept need a transaction and throw server errors.
#pragma once

#include <tuple>

#include "jit_access/pg/sql.hpp"

namespace jit::pg {

[[nodiscard]] RoleId session_user() noexcept;
[[nodiscard]] RoleId current_user() noexcept;

// The name must match exactly: it is not truncated to 63 bytes, and numbers and current_user have no special meaning.
[[nodiscard]] std::optional<RoleId> find_role(std::string_view name);
[[nodiscard]] std::optional<std::string> role_name(RoleId role);

[[nodiscard]] bool is_superuser(RoleId role);
[[nodiscard]] bool has_inherit_attribute(RoleId role);
// Whether `member` is a direct or indirect member of `of`. Superusers are not members of every role here.
[[nodiscard]] bool is_member(RoleId member, RoleId of);
// Superusers have the admin option on every role, as in the server.
[[nodiscard]] bool has_admin_option(RoleId member, RoleId on);
// Whether `member` has the privileges of `of` without SET ROLE. A superuser has only those of the roles of which it is
// a member.
[[nodiscard]] bool has_inherited_privileges_of(RoleId member, RoleId of);
// Whether each membership has INHERIT and SET options (PostgreSQL 16 and later).
[[nodiscard]] bool memberships_carry_options() noexcept;
// The roles of which `member` is a direct member.
[[nodiscard]] std::vector<RoleId> memberships(RoleId member);
// Those of memberships(member) whose privileges `member` has without SET ROLE.
[[nodiscard]] std::vector<RoleId> inherited_memberships(RoleId member);
// The direct members of the role.
[[nodiscard]] std::vector<RoleId> members(RoleId of);
// Takes the lock that GRANT and REVOKE of memberships take from PostgreSQL 16 on; only one transaction at a time can
// change the members of a role. Waits for `patience` milliseconds, or lock_timeout if that is shorter. Returns false if
// another transaction still holds the lock. Before 16 it takes no lock and always returns true.
[[nodiscard]] bool lock_memberships_in(RoleId role, int patience);
// An object of this database that has an access list.
struct AccessList {
    std::uint32_t catalog;  // OID of pg_class or pg_namespace
    std::uint32_t object;
    bool operator<(const AccessList& other) const noexcept {
        return std::tie(catalog, object) < std::tie(other.catalog, other.object);
    }
    bool operator==(const AccessList&) const = default;
};
// The access lists that GRANT on this relation and on its schema change; empty if there is no such relation.
[[nodiscard]] std::vector<AccessList> access_lists_of(const std::string& relation);
// Takes a lock on an access list in the same way as lock_memberships_in(). Only this extension uses that lock; the
// server does not.
[[nodiscard]] bool lock_access_list(const AccessList& list, int patience);
// The same, but waits as long as lock_timeout allows and then throws.
void lock_access_list(const AccessList& list);
// Returns every role that `from` reaches through memberships, inherited or not; `from` is the first.
[[nodiscard]] std::vector<RoleId> closure(RoleId from);

}  // namespace jit::pg
