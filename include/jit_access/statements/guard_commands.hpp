// Refuses commands and function calls to a session that uses a grant, if their effects would outlive the grant or pass
// on its privileges. The decision is based on the parse tree, not on the text.
//
// Called in a transaction, before the command or function runs. The checks throw `guarded`; the caller records the
// refusal. guard_objects.hpp examines the objects that a command has created.
#pragma once

#include <cstdint>

#include "jit_access/pg/role.hpp"

struct Node;

namespace jit::guard {

// Whether every grant that the session uses is of a template with allow_code; in a dry run, whether its template has
// allow_code.
[[nodiscard]] bool is_code_allowed();

// Whether the session uses only grants of mode inherit and acts as its login. The objects that it creates belong to the
// login.
[[nodiscard]] bool is_acting_as_oneself();
// Whether commands that create code are permitted: because the template allows code, or because the code would belong
// to the login, which could create it without the grant.
[[nodiscard]] bool may_make_code();
// Whether the role is the temporary login of a grant. Such a login owns what it creates without SET ROLE.
[[nodiscard]] bool is_login_of_grant(pg::RoleId user);

void check_command_under_grant(const Node* command);
// Refuses functions of pg_cron, because a scheduled job outlives the grant.
void check_function_call(std::uint32_t function);

}  // namespace jit::guard
