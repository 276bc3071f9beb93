#include "jit_access/core/html.hpp"

#include <algorithm>

#include "jit_access/core/encoding.hpp"
#include "jit_access/core/unicode.hpp"

namespace jit::core {

namespace {

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
        else if (is_hidden_character(character))
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
