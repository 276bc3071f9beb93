// Commands of which some are refused under a grant: it depends on their fields. The others are in the tables of
// guard_commands.cpp.
//
// Called in a transaction, before the command runs. Reads the parse tree, and catalogs where the tree names an object.
#pragma once

struct Node;

namespace jit::guard {

// Why the command is refused, as the DETAIL of the message; null if it is not. A command that is not known is refused.
[[nodiscard]] const char* why_fields_refused(const Node* command);

// Commands for which the server checks membership instead of inherited privileges.
[[nodiscard]] bool is_membership_checked(const Node* command);

}  // namespace jit::guard
