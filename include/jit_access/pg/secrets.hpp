// Secrets stay out of the record.
#pragma once

#include <string>
#include <string_view>

namespace jit::pg {

[[nodiscard]] bool may_hold_secrets(std::string_view statement) noexcept;

// The text of a statement as it may be recorded. In one that speaks of a password every string literal is replaced, in
// any other those that hold a connection URI with one; a statement without secrets comes back as it is, untouched.
// Valid until the next call.
[[nodiscard]] std::string_view without_secrets(std::string_view statement);

}  // namespace jit::pg
