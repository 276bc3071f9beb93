// QR codes for a terminal, by libqrencode.
#pragma once

#include <cstdint>
#include <string>

namespace jit::pg {

enum class Drawing : std::uint8_t {
    half_blocks,  // Unicode block elements, two rows of modules in a line
    ascii         // two characters a module, for databases that are not in UTF-8
};

// Draws the text as a QR code (ISO/IEC 18004) with its quiet zone. Light modules are drawn, for terminals with a dark
// background; readers accept both polarities. Throws std::runtime_error.
[[nodiscard]] std::string qr_code(const std::string& text, Drawing drawing);

}  // namespace jit::pg
