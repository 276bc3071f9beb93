// Access lists of relations, read as the server reads them, for a set of roles.
#pragma once

#include <cstdint>
#include <span>

#include "jit_access/pg/role.hpp"

struct Bitmapset;

namespace jit::pg {

// Privileges as the server's AclMode has them, and beside them who owns what.
using AclBits = std::uint64_t;
inline constexpr AclBits ownership = AclBits{1} << 63;

// A relation of a plan that is checked for privileges.
struct CheckedRelation {
    std::uint32_t relation = 0;
    AclBits privileges = 0;               // asked for
    RoleId owner{};                       // checked instead of the current user, if any
    const Bitmapset* selected = nullptr;  // columns, as the server counts them
    const Bitmapset* inserted = nullptr;
    const Bitmapset* updated = nullptr;
    bool column_privileges_suffice = true;  // privileges on the columns in question, where there is none on the whole
};

// What the access list gives to any of these roles or to everybody, the owner's and the predefined roles' included.
[[nodiscard]] AclBits privileges_on_relation(std::uint32_t relation, std::span<const RoleId> roles);
// Whether single columns have access lists of their own.
[[nodiscard]] bool has_column_privileges(std::uint32_t relation);
// Which of the `missing` privileges these give for all the columns that are asked for.
[[nodiscard]] AclBits privileges_on_columns(const CheckedRelation& checked, AclBits missing,
                                            std::span<const RoleId> roles);

}  // namespace jit::pg
