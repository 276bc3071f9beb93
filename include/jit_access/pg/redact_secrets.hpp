// Secrets stay out of the record.
#pragma once

#include <string>
#include <string_view>

namespace jit::pg {

// Calls a function that takes a code of the second factor.
[[nodiscard]] bool may_hold_code(std::string_view statement) noexcept;
// Instead of a command that may hold one, where nothing may fail.
inline constexpr const char* hidden_command = "(hidden: it holds a code of the second factor)";
[[nodiscard]] bool may_hold_secrets(std::string_view statement) noexcept;

// The text of a statement as it may be recorded. In one that speaks of a password or calls what takes a code every
// literal is replaced, in any other those that hold a connection URI with a password; a statement without secrets comes
// back as it is, untouched. Valid until the next call.
[[nodiscard]] std::string_view redact_secrets(std::string_view statement);

}  // namespace jit::pg
