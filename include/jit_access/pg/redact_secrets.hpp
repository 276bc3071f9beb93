// Removes passwords and one-time codes from the text of statements before they are recorded.
#pragma once

#include <string>
#include <string_view>

namespace jit::pg {

// Whether the statement may call a function that takes a code of the second factor, that is, whether it contains the
// name of such a function, in any form in which SQL can write an identifier.
[[nodiscard]] bool may_hold_code(std::string_view statement) noexcept;
// Notes that the client's command has passed a code to a function. The text of the command need not show this: EXECUTE
// of a prepared statement, or a call of another function, does not name the function that takes the code.
void note_code_given() noexcept;
// Whether the client's command has passed a code to a function, or its text may hold a code.
[[nodiscard]] bool command_holds_code() noexcept;
// Replaces the whole text of a statement that may hold a code, in places where nothing may fail and the text therefore
// cannot be scanned.
inline constexpr const char* hidden_command = "(hidden: it holds a code of the second factor)";
[[nodiscard]] bool may_hold_secrets(std::string_view statement) noexcept;

// Returns the text of a statement with its secrets masked. In a statement that mentions a password, or calls a function
// that takes a code, every literal is masked. In any other statement, only literals that hold a connection URI with a
// password are masked. A statement without secrets is returned unchanged. The result is valid until the next call. May
// throw server errors.
[[nodiscard]] std::string_view redact_secrets(std::string_view statement);
// Masks every literal. For a statement that passes a code to a function without naming that function.
[[nodiscard]] std::string_view redact_literals(std::string_view statement);
// The text of the client's command, with its secrets masked.
[[nodiscard]] std::string_view redact_command();

}  // namespace jit::pg
