// Access lists of relations and columns, evaluated for a set of roles.
//
// The server's own checks (catalog/aclchk.c) evaluate one role and follow its memberships. Here the caller chooses the
// roles, for example to leave out those that come from a grant. Memberships are not followed. All functions need a
// transaction and throw server errors.
#pragma once

#include <cstdint>
#include <span>

#include "jit_access/pg/role.hpp"

struct Bitmapset;

namespace jit::pg {

// The server's AclMode, and `ownership` in a bit that AclMode does not use.
using AclBits = std::uint64_t;
inline constexpr AclBits ownership = AclBits{1} << 63;

// A relation of a plan on which the server checks privileges. The bitmaps belong to the plan.
struct CheckedRelation {
    std::uint32_t relation = 0;
    AclBits privileges = 0;               // required
    RoleId owner{};                       // the user whose privileges count (a view's owner); 0 = the current user
    const Bitmapset* selected = nullptr;  // columns, offset by FirstLowInvalidHeapAttributeNumber
    const Bitmapset* inserted = nullptr;
    const Bitmapset* updated = nullptr;
    const Bitmapset* referenced = nullptr;  // by a foreign key
    bool column_privileges_suffice = true;  // privileges on the used columns can replace the one on the table
};

// Returns the privileges on the relation that any of the roles, or PUBLIC, has, including those of owners and of the
// predefined roles pg_read_all_data and pg_write_all_data.
[[nodiscard]] AclBits privileges_on_relation(std::uint32_t relation, std::span<const RoleId> roles);
// Returns whether any column has an access list of its own.
[[nodiscard]] bool has_column_privileges(std::uint32_t relation);
// Returns those of the `missing` privileges that the roles have on every column that the statement uses.
[[nodiscard]] AclBits privileges_on_columns(const CheckedRelation& checked, AclBits missing,
                                            std::span<const RoleId> roles);

// The privileges on a function, schema, database or language that any of the roles, or PUBLIC, has.
[[nodiscard]] AclBits privileges_on_object(std::uint32_t object_class, std::uint32_t object,
                                           std::span<const RoleId> roles);

struct FunctionAccess {
    bool may_execute = false;  // any of the roles, or PUBLIC
    bool is_compiled = false;  // in C, or built into the server
    bool is_volatile = false;
};
// If there is no such function, only `may_execute` is true: the call then fails by itself.
[[nodiscard]] FunctionAccess function_access(std::uint32_t function, std::span<const RoleId> roles);

}  // namespace jit::pg
