// HTML in which no text becomes markup: markup is what the program's own source says, and the compiler sees to it that
// nothing else is. Texts, which people have typed, are written as references wherever they are not plain ASCII, so that
// a page means the same in every encoding; what reorders or hides text is shown by its number.
#pragma once

#include "jit_access/core/zone.hpp"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace jit::core {

class Html {
public:
    // Of a literal: what is read at run time cannot be made one.
    class Markup {
    public:
        consteval Markup(const char* text) : text_(text) {}  // NOLINT: literals are written as they are
        [[nodiscard]] constexpr std::string_view text() const { return text_; }

    private:
        std::string_view text_;
    };
    struct Attribute {
        Markup name;
        std::string value;
    };

    Html& markup(Markup literal);
    Html& text(std::string_view text);
    Html& number(std::int64_t value);  // digits in threes
    Html& add(const Html& other);
    Html& open(Markup tag, std::initializer_list<Attribute> attributes = {});
    Html& close(Markup tag);
    Html& element(Markup tag, std::string_view text, std::initializer_list<Attribute> attributes = {});

    [[nodiscard]] const std::string& str() const { return html_; }

private:
    std::string html_;
};

}  // namespace jit::core
