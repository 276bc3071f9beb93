// Commands and function calls that are refused to a session that uses a grant: they would outlive the grant or pass its
// privileges on. The decision is based on the parse tree, not on the text.
//
// Called in a transaction, before the command or function runs. The checks throw `guarded`; the caller records the
// refusal. guard_objects.hpp examines the objects that a command has created.
#pragma once

#include <cstdint>

struct Node;

namespace jit::guard {

// Whether every grant that the session uses is of a template with allow_code, or the dry run is of such a template.
[[nodiscard]] bool is_code_allowed();

void check_command_under_grant(const Node* command);
// Functions of pg_cron: a scheduled job outlives the grant.
void check_function_call(std::uint32_t function);

}  // namespace jit::guard
