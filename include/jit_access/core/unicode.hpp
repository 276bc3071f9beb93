// Properties of characters, from the Unicode Character Database (unicode_table.hpp).
#pragma once

#include "jit_access/core/zone.hpp"

namespace jit::core {

// Controls, characters that reorder, join or hide others, and characters that show nothing: they can make a text look
// like a different one on a screen. Spaces are not among them.
[[nodiscard]] bool is_hidden_character(char32_t character) noexcept;
[[nodiscard]] bool is_white_space(char32_t character) noexcept;

}  // namespace jit::core
