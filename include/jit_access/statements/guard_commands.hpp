// Commands and function calls that are refused to a session that uses a grant, decided on the parse tree, not on text.
#pragma once

#include <cstdint>

struct Node;

namespace jit::guard {

// Whether every grant that the session uses is of a template with allow_code.
[[nodiscard]] bool code_allowed();

// Before a utility command runs. Throws `guarded`.
void check_under_grant(const Node* command);
// Before a function runs, in a session that may use a grant. Throws `guarded`.
void check_call(std::uint32_t function);

}  // namespace jit::guard
