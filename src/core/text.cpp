#include "jit_access/core/text.hpp"

#include <algorithm>

namespace jit::core {

namespace {

bool is_blank(std::string_view text) noexcept { return text.find_first_not_of(' ') == std::string_view::npos; }

// C1 controls (C2 80..9F), and the characters that reorder or hide text: U+200B..200F, U+2028..202E, U+2060..206F,
// U+FEFF.
bool hides_text(unsigned char a, unsigned char b, unsigned char c) noexcept {
    if (a == 0xC2) return b >= 0x80 && b <= 0x9F;
    if (a == 0xE2 && b == 0x80) return (c >= 0x8B && c <= 0x8F) || (c >= 0xA8 && c <= 0xAE);
    if (a == 0xE2 && b == 0x81) return c >= 0xA0 && c <= 0xAF;
    return a == 0xEF && b == 0xBB && c == 0xBF;
}

}  // namespace

std::string join(const std::vector<std::string>& items, std::string_view separator) {
    std::string text;
    for (const auto& item : items) {
        if (!text.empty()) text += separator;
        text += item;
    }
    return text;
}

std::optional<std::string> fault_in_text(std::string_view text, std::size_t longest) {
    if (text.empty() || is_blank(text)) return "It is empty.";
    if (text.size() > longest)
        return "It has " + std::to_string(text.size()) + " bytes; the limit is " + std::to_string(longest) + ".";
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = [&](std::size_t k) { return k < text.size() ? static_cast<unsigned char>(text[k]) : 0U; };
        const auto a = static_cast<unsigned char>(byte(i));
        if (a < 0x20 || a == 0x7F ||
            hides_text(a, static_cast<unsigned char>(byte(i + 1)), static_cast<unsigned char>(byte(i + 2))))
            return "It holds a control character or invisible formatting at byte " + std::to_string(i + 1) + ".";
    }
    return std::nullopt;
}

std::optional<std::string> fault_in_template_name(std::string_view name) {
    const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
    const auto is_part = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
    if (name.empty()) return "It is empty.";
    if (name.size() > max_template_name)
        return "It has " + std::to_string(name.size()) + " bytes; the limit is " + std::to_string(max_template_name) +
               ".";
    if (!is_letter(name.front()) || !std::all_of(name.begin(), name.end(), is_part))
        return "A template name starts with a small letter and holds small letters, digits, '_' and '-'.";
    return std::nullopt;
}

}  // namespace jit::core
