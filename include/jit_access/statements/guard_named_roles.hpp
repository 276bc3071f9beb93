// Refuses objects that name a role of the extension: policies for it, default privileges of or for it, user mappings,
// and ownership.
//
// Such an object, in any database, would keep the role from being dropped at the end of its grant, or give a template
// an object or a privilege. It is found in pg_shdepend after the command, by the OID of the role, whatever the command
// was and however it named the role.
#pragma once

#include <cstdint>

namespace jit::guard {

// From the object access hook, after an object was created or changed in any session. Needs a transaction. Throws
// `guarded`, which rolls the command back. Superusers are not refused: what they attach to a role is removed together
// with the role.
void check_named_roles(std::uint32_t object_class, std::uint32_t object);

// Whether the extension manages the role. Decided by its name, because roles of grants are recognized in every
// database, even where the extension's tables cannot be read.
[[nodiscard]] bool is_managed(const char* role) noexcept;
[[noreturn]] void refuse_managed_role(const char* role);

}  // namespace jit::guard
