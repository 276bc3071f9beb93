// Texts that users type: characters that could forge an approver's or auditor's screen are refused.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE text
#include "jit_access/core/text.hpp"

#include <boost/test/unit_test.hpp>

using namespace jit::core;
using namespace std::string_literals;

namespace {

bool fine(const std::string& text) { return !fault_in_text(text).has_value(); }
bool fine_name(const std::string& name) { return !fault_in_template_name(name).has_value(); }

std::string utf8(char32_t c) {
    if (c < 0x80) return {static_cast<char>(c)};
    if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
    if (c < 0x10000)
        return {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
                static_cast<char>(0x80 | (c & 0x3F))};
    return {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3F)),
            static_cast<char>(0x80 | (c >> 6 & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
}

}  // namespace

BOOST_AUTO_TEST_CASE(ordinary_texts) {
    for (const char* text : {"incident 4711", "a", "  padded  ", "Störung in Köln", "障害対応", "привет", "naïve café",
                             "100 % 'quoted' \"twice\" \\ back; -- no comment", "emoji 🙂"})
        BOOST_TEST(fine(text), text);
}

BOOST_AUTO_TEST_CASE(empty_and_blank) {
    for (const char* text : {"", " ", "                    "}) BOOST_TEST(!fine(text));
}

BOOST_AUTO_TEST_CASE(every_c0_control_anywhere) {
    for (char32_t c = 0; c < 0x20; ++c) {
        BOOST_TEST(!fine("ab"s + static_cast<char>(c)), static_cast<unsigned>(c));
        BOOST_TEST(!fine(static_cast<char>(c) + "ab"s), static_cast<unsigned>(c));
        BOOST_TEST(!fine("a"s + static_cast<char>(c) + "b"), static_cast<unsigned>(c));
    }
    BOOST_TEST(!fine("a\x7F"));
}

BOOST_AUTO_TEST_CASE(every_c1_control) {
    for (char32_t c = 0x80; c < 0xA0; ++c) BOOST_TEST(!fine("x" + utf8(c) + "y"), static_cast<unsigned>(c));
    for (char32_t c = 0xA0; c < 0x100; ++c)
        BOOST_TEST((c == 0xAD || fine("x" + utf8(c) + "y")), static_cast<unsigned>(c));
}

BOOST_AUTO_TEST_CASE(characters_that_reorder_or_hide) {
    for (const auto& [first, last] :
         {std::pair<char32_t, char32_t>{0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F}, {0xFEFF, 0xFEFF}})
        for (char32_t c = first; c <= last; ++c) BOOST_TEST(!fine("user" + utf8(c) + "name"), static_cast<unsigned>(c));
    // Their neighbours are ordinary punctuation and space.
    for (const char32_t c : {0x200A, 0x2010, 0x2027, 0x202F, 0x205F, 0x2070, 0xFEFE, 0xFF00})
        BOOST_TEST(fine("user" + utf8(c) + "name"), static_cast<unsigned>(c));
}

// By the properties of Unicode, not by a list: what is ignored, formats, joins, tags or is blank.
BOOST_AUTO_TEST_CASE(characters_that_show_nothing) {
    for (const char32_t c :
         {0xAD,    0x34F,   0x61C,   0x115F,  0x1160,  0x17B4,  0x180B,  0x180E,  0x200D,  0x2064,  0x2800,
          0x3164,  0xFE00,  0xFE0F,  0xFFA0,  0xFFF9,  0xFFFB,  0xFFFE,  0xFFFF,  0xFDD0,  0x110BD, 0x13430,
          0x1BCA0, 0x1D173, 0x1FFFE, 0xE0001, 0xE0020, 0xE0041, 0xE007F, 0xE0100, 0xE01EF, 0x10FFFF}) {
        BOOST_TEST(!fine("user" + utf8(c) + "name"), static_cast<unsigned>(c));
        BOOST_TEST(fault_in_characters(utf8(c)).has_value(), static_cast<unsigned>(c));
    }
    for (const char32_t c :
         {0xA0, 0xAE, 0x2801, 0x28FF, 0x3163, 0x3165, 0xFFFC, 0xFFFD, 0x1F642, 0x1D160, 0x13440, 0xE1000})
        BOOST_TEST(fine("user" + utf8(c) + "name"), static_cast<unsigned>(c));
    for (const char32_t c : {0x20, 0xA0, 0x1680, 0x2003, 0x200A, 0x202F, 0x205F, 0x3000}) {
        BOOST_TEST(!fine(utf8(c)), static_cast<unsigned>(c));
        BOOST_TEST(!fine(" " + utf8(c) + " " + utf8(c)), static_cast<unsigned>(c));
        BOOST_TEST(fine("user" + utf8(c) + "name"), static_cast<unsigned>(c));
        BOOST_TEST(!fault_in_characters(utf8(c)).has_value(), static_cast<unsigned>(c));
    }
    BOOST_TEST(!fault_in_characters("").has_value());
}

BOOST_AUTO_TEST_CASE(the_fault_names_the_byte) {
    BOOST_TEST(fault_in_text("abc\ndef").value_or("").find("byte 4.") != std::string::npos);
    BOOST_TEST(fault_in_text("\tabc").value_or("").find("byte 1.") != std::string::npos);
    BOOST_TEST(fault_in_text("ö" + utf8(0x202E)).value_or("").find("byte 3.") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(limits_are_in_bytes) {
    BOOST_TEST(fine(std::string(max_reason, 'x')));
    BOOST_TEST(!fine(std::string(max_reason + 1, 'x')));
    BOOST_TEST(!fine(std::string(1 << 20, 'x')));
    BOOST_TEST(fault_in_text(std::string(1 << 20, 'x')).value_or("").size() < 200U);
    BOOST_TEST(!fault_in_text("12345", 5).has_value());
    BOOST_TEST(fault_in_text("123456", 5).has_value());
    BOOST_TEST(fault_in_text("ööö", 5).has_value());
}

// A text that ends within a character is checked without a read past its end (detected by the sanitizer).
BOOST_AUTO_TEST_CASE(cut_inside_a_character) {
    for (const std::string& whole : {utf8(0x85), utf8(0x202E), utf8(0x2066), utf8(0xFEFF), utf8(0x1F642)})
        for (std::size_t size = 1; size < whole.size(); ++size) {
            const std::string text = "a" + whole.substr(0, size);
            const std::vector<char> exact(text.begin(), text.end());
            (void)fault_in_text({exact.data(), exact.size()});
        }
    BOOST_TEST(fine("a\xE2\x80"s));
    BOOST_TEST(fine("a\xE2"s));
    BOOST_TEST(fine("a\xC2"s));
}

BOOST_AUTO_TEST_CASE(template_names) {
    for (const char* name : {"debug_read", "a", "hotfix-admin", "x9", "a_-0"}) BOOST_TEST(fine_name(name), name);
    for (const char* name : {"", "9x", "_a", "-a", "Debug", "debug read", "debug.read", "a\n", "däbug", "a\"b", "a'b",
                             "a;b", " a", "a ", "10"})
        BOOST_TEST(!fine_name(name), name);
    BOOST_TEST(!fine_name("a\0b"s));
    BOOST_TEST(fine_name(std::string(max_template_name, 'a')));
    BOOST_TEST(!fine_name(std::string(max_template_name + 1, 'a')));
    BOOST_TEST(!fine_name(std::string(1 << 20, 'a')));
}
