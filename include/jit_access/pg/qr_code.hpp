// A text as a QR code that a telephone reads off a terminal.
#pragma once

#include <cstdint>
#include <string>

namespace jit::pg {

enum class Drawing : std::uint8_t {
    half_blocks,  // Unicode, two rows in a line
    ascii         // for databases in other encodings: two characters a module
};

// With the quiet zone around it. Light modules are drawn, for terminals with a dark background; cameras read both.
// Throws std::runtime_error.
[[nodiscard]] std::string qr_code(const std::string& text, Drawing drawing);

}  // namespace jit::pg
