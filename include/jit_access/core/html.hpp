// HTML in which no text can become markup. Only a string literal converts to the type Markup, at compile time;
// everything else is text and is escaped.
//
// The texts come from users. Every character that is not ASCII is written as a character reference, so a page reads the
// same in every encoding. Characters that reorder or hide text are shown as their code points, for example U+202E.
#pragma once

#include "jit_access/core/zone.hpp"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace jit::core {

class Html {
public:
    // Only a string literal converts to this type: a string that is made at run time does not compile.
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
    Html& number(std::int64_t value);  // digits in groups of three
    Html& add(const Html& other);
    Html& open(Markup tag, std::initializer_list<Attribute> attributes = {});
    Html& close(Markup tag);
    Html& element(Markup tag, std::string_view text, std::initializer_list<Attribute> attributes = {});

    [[nodiscard]] const std::string& str() const { return html_; }

private:
    std::string html_;
};

}  // namespace jit::core
