// Commands that are refused under a grant or not, depending on their fields. All other commands are in the tables of
// guard_commands.cpp.
//
// Called in a transaction, before the command runs. Reads the parse tree, and catalogs where the tree names an object.
#pragma once

struct Node;

namespace jit::guard {

// Why the command is refused, as the DETAIL of the message; null if it is not. An unknown command is refused.
[[nodiscard]] const char* why_fields_refused(const Node* command);

// Whether this is a command for which the server checks membership instead of inherited privileges.
[[nodiscard]] bool is_membership_checked(const Node* command);

}  // namespace jit::guard
