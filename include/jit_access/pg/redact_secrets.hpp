// Removes passwords and one-time codes from the text of statements before they are recorded.
#pragma once

#include <string>
#include <string_view>

namespace jit::pg {

// Whether the statement may call a function that takes a code of the second factor.
[[nodiscard]] bool may_hold_code(std::string_view statement) noexcept;
// This replaces the whole text of a statement that may hold a code in places where nothing may fail, because scanning
// the text could fail.
inline constexpr const char* hidden_command = "(hidden: it holds a code of the second factor)";
[[nodiscard]] bool may_hold_secrets(std::string_view statement) noexcept;

// Returns the text of a statement with its secrets masked. In a statement that mentions a password, or calls a function
// that takes a code, every literal is masked. In any other statement, only literals that hold a connection URI with a
// password are masked. A statement without secrets is returned unchanged. The result is valid until the next call. May
// throw server errors.
[[nodiscard]] std::string_view redact_secrets(std::string_view statement);

}  // namespace jit::pg
