// People and roles. Identity is the session user: what the client authenticated as, not what SET ROLE says.
#pragma once

#include "jit_access/pg/sql.hpp"

namespace jit::pg {

[[nodiscard]] RoleId session_user() noexcept;
[[nodiscard]] RoleId current_user() noexcept;

// Exact bytes: no truncation at 63, no OID spelled as a number, no current_user.
[[nodiscard]] std::optional<RoleId> find_role(std::string_view name);
[[nodiscard]] std::optional<std::string> role_name(RoleId role);

[[nodiscard]] bool is_superuser(RoleId role);
[[nodiscard]] bool has_inherit_attribute(RoleId role);  // the role's own INHERIT attribute
// Being a superuser makes nobody a member here.
[[nodiscard]] bool is_member(RoleId member, RoleId of);
// Superusers have it on everything, here as in the server.
[[nodiscard]] bool has_admin_option(RoleId member, RoleId on);
// Whether `member` holds the privileges of `of` without SET ROLE; superusers are not special.
[[nodiscard]] bool has_inherited_privileges_of(RoleId member, RoleId of);
// Whether a membership itself says if it is inherited and if it allows SET ROLE (PostgreSQL 16 and later).
[[nodiscard]] bool memberships_carry_options() noexcept;
// The roles this one is a direct member of, and its own direct members.
[[nodiscard]] std::vector<RoleId> memberships(RoleId member);
// Those of them whose privileges it has without SET ROLE.
[[nodiscard]] std::vector<RoleId> inherited_memberships(RoleId member);
[[nodiscard]] std::vector<RoleId> members(RoleId of);
// From 16 on who gives or takes a membership keeps everybody else from doing so with the same role, until he commits.
// False: somebody else does, and has not come to an end in so many milliseconds, or in lock_timeout where that is less.
[[nodiscard]] bool lock_memberships_in(RoleId role, int patience);
// Every role reachable from one, itself first, whether inherited or not.
[[nodiscard]] std::vector<RoleId> closure(RoleId from);

}  // namespace jit::pg
