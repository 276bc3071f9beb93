#include "jit_access/core/text.hpp"

#include <algorithm>

#include "jit_access/core/encoding.hpp"
#include "jit_access/core/unicode.hpp"

namespace jit::core {

namespace {

bool is_blank(std::string_view text) noexcept {
    while (!text.empty()) {
        const auto next = decode_utf8(text);
        if (!is_white_space(next.character)) return false;
        text.remove_prefix(next.size);
    }
    return true;
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
    return fault_in_characters(text);
}

std::optional<std::string> fault_in_characters(std::string_view text) {
    // Bytes that are not UTF-8 are accepted, because a database may have another encoding.
    for (std::size_t i = 0; i < text.size();) {
        const auto next = decode_utf8(text.substr(i));
        if (is_hidden_character(next.character))
            return "It holds a control character or invisible formatting at byte " + std::to_string(i + 1) + ".";
        i += next.size;
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
        return "A template name starts with a lower-case letter and consists of lower-case letters, digits, '_' and "
               "'-'.";
    return std::nullopt;
}

}  // namespace jit::core
