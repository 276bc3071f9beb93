#include "jit_access/core/html.hpp"

#include <algorithm>
#include <array>

#include "jit_access/core/encoding.hpp"

namespace jit::core {

namespace {

struct Range {
    char32_t from, to;
};

// Controls, and characters that reorder, join or hide text.
constexpr std::array hidden{Range{0x00, 0x1F},      Range{0x7F, 0x9F},     Range{0xAD, 0xAD},     Range{0x34F, 0x34F},
                            Range{0x61C, 0x61C},    Range{0x180B, 0x180E}, Range{0x200B, 0x200F}, Range{0x2028, 0x202E},
                            Range{0x2060, 0x206F},  Range{0xFE00, 0xFE0F}, Range{0xFEFF, 0xFEFF}, Range{0xFFF9, 0xFFFB},
                            Range{0xE0000, 0xE0FFF}};

bool is_hidden(char32_t c) {
    return std::any_of(hidden.begin(), hidden.end(), [c](const Range& r) { return c >= r.from && c <= r.to; });
}

std::string hexadecimal(char32_t c) {
    std::string text;
    for (int shift = c > 0xFFFF ? 20 : 12; shift >= 0; shift -= 4) text += upper_hex_digit(c >> shift);
    return text;
}

bool needs_no_escape(char32_t c) {
    return c >= 0x20 && c < 0x7F && c != '&' && c != '<' && c != '>' && c != '"' && c != '\'' && c != '`';
}

// The escaped text is safe both in an element and in a quoted attribute.
void escape(std::string_view text, std::string& to) {
    while (!text.empty()) {
        const auto [character, size] = decode_utf8(text);
        text.remove_prefix(size);
        if (needs_no_escape(character))
            to += static_cast<char>(character);
        else if (is_hidden(character))
            to += "&#x27E8;U+" + hexadecimal(character) + "&#x27E9;";
        else
            to += "&#x" + hexadecimal(character) + ";";
    }
}

}  // namespace

Html& Html::markup(Markup literal) {
    html_ += literal.text();
    return *this;
}

Html& Html::text(std::string_view text) {
    escape(text, html_);
    return *this;
}

Html& Html::number(std::int64_t value) {
    auto digits = std::to_string(value);
    const std::size_t sign = value < 0 ? 1 : 0;
    for (std::size_t at = digits.size(); at > sign + 3; at -= 3) digits.insert(at - 3, "\x1F");
    for (const char c : digits) {
        if (c == '\x1F')
            html_ += "&#x202F;";  // NARROW NO-BREAK SPACE
        else
            html_ += c;
    }
    return *this;
}

Html& Html::add(const Html& other) {
    html_ += other.html_;
    return *this;
}

Html& Html::open(Markup tag, std::initializer_list<Attribute> attributes) {
    html_ += '<';
    html_ += tag.text();
    for (const auto& attribute : attributes) {
        html_ += ' ';
        html_ += attribute.name.text();
        html_ += "=\"";
        escape(attribute.value, html_);
        html_ += '"';
    }
    html_ += '>';
    return *this;
}

Html& Html::close(Markup tag) {
    html_ += "</";
    html_ += tag.text();
    html_ += '>';
    return *this;
}

Html& Html::element(Markup tag, std::string_view text, std::initializer_list<Attribute> attributes) {
    return open(tag, attributes).text(text).close(tag);
}

}  // namespace jit::core
