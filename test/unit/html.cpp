// HTML: text that a user has typed cannot become markup.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE html
#include "jit_access/core/html.hpp"

#include <boost/test/unit_test.hpp>

#include <type_traits>

using namespace jit::core;
using namespace std::string_literals;

namespace {

std::string text(const std::string& typed) { return Html().text(typed).str(); }

}  // namespace

static_assert(!std::is_constructible_v<Html::Markup, std::string>, "what is read at run time is no markup");
static_assert(!std::is_convertible_v<std::string_view, Html::Markup>, "nor a view of it");

BOOST_AUTO_TEST_CASE(text_stays_text) {
    BOOST_TEST(text("a plain reason, 100 %: x = 1;") == "a plain reason, 100 %: x = 1;");
    BOOST_TEST(text("<script>alert(1)</script>") == "&#x003C;script&#x003E;alert(1)&#x003C;/script&#x003E;");
    BOOST_TEST(text("\" onload=\"x") == "&#x0022; onload=&#x0022;x");
    BOOST_TEST(text("' ` & &lt;") == "&#x0027; &#x0060; &#x0026; &#x0026;lt;");
    BOOST_TEST(text("]]>--></style>").find('<') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(hiding_or_reordering_characters_are_shown) {
    BOOST_TEST(text("a\nb\tc") == "a&#x27E8;U+000A&#x27E9;b&#x27E8;U+0009&#x27E9;c");
    BOOST_TEST(text("\xE2\x80\xAE"
                    "evil") == "&#x27E8;U+202E&#x27E9;evil");
    BOOST_TEST(text("a\0b"s) == "a&#x27E8;U+0000&#x27E9;b");
    BOOST_TEST(text("\xEF\xBB\xBF") == "&#x27E8;U+FEFF&#x27E9;");
    BOOST_TEST(text("\xF3\xA0\x80\xA0") == "&#x27E8;U+0E0020&#x27E9;");
}

BOOST_AUTO_TEST_CASE(other_letters_are_references) {
    BOOST_TEST(text("K\xC3\xB6ln") == "K&#x00F6;ln");
    BOOST_TEST(text("\xF0\x9F\x99\x82") == "&#x01F642;");
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_text) {
    BOOST_TEST(text("\xFF\xC0\xAF") == "&#xFFFD;&#xFFFD;&#xFFFD;");
    BOOST_TEST(text("\xED\xA0\x80") == "&#xFFFD;&#xFFFD;&#xFFFD;");  // a surrogate
    BOOST_TEST(text("\xC3") == "&#xFFFD;");
    BOOST_TEST(text("\xE2<b>") == "&#xFFFD;&#x003C;b&#x003E;");
    for (int byte = 0; byte < 256; ++byte)
        for (const char c : text(std::string(3, static_cast<char>(byte)) + "<\"'&")) {
            BOOST_TEST((c >= 0x20 && c < 0x7F));
            BOOST_TEST((c != '<' && c != '>' && c != '"' && c != '\''));
        }
}

BOOST_AUTO_TEST_CASE(elements_and_attributes) {
    BOOST_TEST(Html().element("td", "a<b", {{"class", "x\" onclick=\"y"}}).str() ==
               "<td class=\"x&#x0022; onclick=&#x0022;y\">a&#x003C;b</td>");
    Html inner;
    inner.text("<");
    BOOST_TEST(Html().markup("<p>").add(inner).markup("</p>").str() == "<p>&#x003C;</p>");
}

BOOST_AUTO_TEST_CASE(numbers) {
    BOOST_TEST(Html().number(0).str() == "0");
    BOOST_TEST(Html().number(999).str() == "999");
    BOOST_TEST(Html().number(-1234567).str() == "-1&#x202F;234&#x202F;567");
    BOOST_TEST(Html().number(-123).str() == "-123");
}
