// Commands and function calls that are refused to a session that uses a grant: they would outlive the grant or pass its
// privileges on. The decision is based on the parse tree, not on the text.
//
// Called in a transaction, before the command or function runs. The checks throw `guarded`; the caller records the
// refusal. guard_objects.hpp examines the objects that a command has created.
#pragma once

#include <cstdint>

#include "jit_access/pg/role.hpp"

struct Node;

namespace jit::guard {

// Whether every grant that the session uses is of a template with allow_code, or the dry run is of such a template.
[[nodiscard]] bool is_code_allowed();

// Whether the session uses grants of mode inherit only, as its login. The objects it makes belong to the login.
[[nodiscard]] bool is_acting_as_oneself();
// Whether commands that create code are permitted: because the template allows code, or because the code would be that
// of the login, which could make it without the grant.
[[nodiscard]] bool may_make_code();
// Whether the role is the temporary login of a grant. It owns what it creates without any SET ROLE.
[[nodiscard]] bool is_login_of_grant(pg::RoleId user);

void check_command_under_grant(const Node* command);
// Functions of pg_cron: a scheduled job outlives the grant.
void check_function_call(std::uint32_t function);

}  // namespace jit::guard
