// Text and binary encodings against the vectors of their RFCs, and malformed input.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE encoding
#include "jit_access/core/encoding.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

using namespace jit::core;
using namespace std::string_view_literals;

namespace {

constexpr Uuid uuid{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF};

std::string base64(std::string_view text) { return to_base64(bytes_of(text)); }

// The sequence is one invalid byte, whatever follows.
void check_invalid(std::string_view text) {
    const auto decoded = decode_utf8(text);
    BOOST_TEST((decoded.character == replacement_character), to_hex(bytes_of(text)));
    BOOST_TEST(decoded.size == 1U, to_hex(bytes_of(text)));
}

void check_valid(std::string_view text, char32_t character) {
    const auto decoded = decode_utf8(text);
    BOOST_TEST((decoded.character == character), to_hex(bytes_of(text)));
    BOOST_TEST(decoded.size == text.size(), to_hex(bytes_of(text)));
}

std::string encoded_utf8(char32_t c) {
    const auto continuation = [](char32_t bits) { return static_cast<char>(0x80U | (bits & 0x3FU)); };
    if (c < 0x80) return {static_cast<char>(c)};
    if (c < 0x800) return {static_cast<char>(0xC0U | c >> 6), continuation(c)};
    if (c < 0x10000) return {static_cast<char>(0xE0U | c >> 12), continuation(c >> 6), continuation(c)};
    return {static_cast<char>(0xF0U | c >> 18), continuation(c >> 12), continuation(c >> 6), continuation(c)};
}

}  // namespace

BOOST_AUTO_TEST_CASE(hexadecimal) {  // RFC 4648, 10, in small letters
    BOOST_TEST(to_hex({}).empty());
    BOOST_TEST(to_hex(bytes_of("foobar")) == "666f6f626172");
    BOOST_TEST(to_hex(bytes_of("\x00\x7F\x80\xFF"sv)) == "007f80ff");
    BOOST_TEST((from_hex("") == std::vector<std::byte>{}));
    BOOST_TEST((from_hex("00fFa0") == std::vector{std::byte{0}, std::byte{0xFF}, std::byte{0xA0}}));
    for (unsigned value = 0; value < 256; ++value) {
        const std::vector bytes{static_cast<std::byte>(value)};
        BOOST_TEST((from_hex(to_hex(bytes)) == bytes), value);
    }
}

BOOST_AUTO_TEST_CASE(malformed_hexadecimal) {
    for (const auto text :
         {"0"sv, "000"sv, "0g"sv, "g0"sv, " 0"sv, "0 "sv, "-1"sv, "0x"sv, "\0\0"sv, "/:"sv, "@G"sv, "`g"sv})
        BOOST_TEST(!from_hex(text).has_value(), text);
}

BOOST_AUTO_TEST_CASE(hexadecimal_of_a_fixed_size) {
    BOOST_TEST((array_from_hex<2>("0aff") == std::array{std::byte{0x0A}, std::byte{0xFF}}));
    for (const auto text : {""sv, "0a"sv, "0aff0"sv, "0aff00"sv, "0afg"sv})
        BOOST_TEST(!array_from_hex<2>(text).has_value(), text);
}

BOOST_AUTO_TEST_CASE(hexadecimal_escapes) {
    std::string text = "a";
    append_hex_escape(text, '\n');
    append_hex_escape(text, '\xFE');
    BOOST_TEST(text == "a\\x0a\\xfe");
}

BOOST_AUTO_TEST_CASE(base64_vectors) {  // RFC 4648, 10
    BOOST_TEST(base64("").empty());
    BOOST_TEST(base64("f") == "Zg==");
    BOOST_TEST(base64("fo") == "Zm8=");
    BOOST_TEST(base64("foo") == "Zm9v");
    BOOST_TEST(base64("foob") == "Zm9vYg==");
    BOOST_TEST(base64("fooba") == "Zm9vYmE=");
    BOOST_TEST(base64("foobar") == "Zm9vYmFy");
    BOOST_TEST(base64("\xFF\xFE\xFD") == "//79");
    BOOST_TEST(base64("\0"sv) == "AA==");
}

BOOST_AUTO_TEST_CASE(percent_encoding) {  // RFC 3986, 2.1 and 2.3
    const std::string unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    BOOST_TEST(percent_encode(unreserved) == unreserved);
    BOOST_TEST(percent_encode("a b/c?d=e&f#g%h+i:j@k") == "a%20b%2Fc%3Fd%3De%26f%23g%25h%2Bi%3Aj%40k");
    BOOST_TEST(percent_encode("Z\xC3\xBCrich\0"sv) == "Z%C3%BCrich%00");
    for (unsigned value = 0; value < 256; ++value) {
        const char c = static_cast<char>(value);
        const bool is_plain = c != '\0' && unreserved.find(c) != std::string::npos;
        BOOST_TEST(percent_encode({&c, 1}).size() == (is_plain ? 1U : 3U), value);
    }
}

BOOST_AUTO_TEST_CASE(uuids) {
    const std::string text = "00112233-4455-6677-8899-aabbccddeeff";
    BOOST_TEST(to_text(uuid) == text);
    BOOST_TEST((uuid_from_text(text) == uuid));
    BOOST_TEST((uuid_from_text("00112233445566778899AABBCCDDEEFF") == uuid));
    for (const auto malformed : {""sv, "00112233-4455-6677-8899-aabbccddeef"sv,
                                 "00112233-4455-6677-8899-aabbccddeeff0"sv, "00112233-4455-6677-8899-aabbccddeeff00"sv,
                                 "g0112233-4455-6677-8899-aabbccddeeff"sv, "{00112233-4455-6677-8899-aabbccddeeff}"sv})
        BOOST_TEST(!uuid_from_text(malformed).has_value(), malformed);
}

BOOST_AUTO_TEST_CASE(random_uuids_are_of_version_4) {  // RFC 4122, 4.4
    BOOST_TEST(to_text(uuid_from_random(uuid)) == "00112233-4455-4677-8899-aabbccddeeff");
    Uuid ones;
    ones.fill(0xFF);
    BOOST_TEST(to_text(uuid_from_random(ones)) == "ffffffff-ffff-4fff-bfff-ffffffffffff");
    BOOST_TEST(to_text(uuid_from_random({})) == "00000000-0000-4000-8000-000000000000");
}

BOOST_AUTO_TEST_CASE(every_character_of_utf8) {
    for (char32_t c = 0; c <= 0x10FFFF; ++c) {
        if (c == 0xD800) c = 0xE000;
        const auto encoded = encoded_utf8(c);
        const auto decoded = decode_utf8(encoded);
        if (decoded.size != encoded.size() || decoded.character != c) BOOST_FAIL(static_cast<unsigned>(c));
    }
}

BOOST_AUTO_TEST_CASE(utf8_at_the_edges) {  // RFC 3629, 4
    check_valid("\0"sv, 0);
    check_valid("\x7F", 0x7F);
    check_valid("\xC2\x80", 0x80);
    check_valid("\xDF\xBF", 0x7FF);
    check_valid("\xE0\xA0\x80", 0x800);
    check_valid("\xED\x9F\xBF", 0xD7FF);
    check_valid("\xEE\x80\x80", 0xE000);
    check_valid("\xEF\xBF\xBD", replacement_character);
    check_valid("\xEF\xBF\xBF", 0xFFFF);
    check_valid("\xF0\x90\x80\x80", 0x10000);
    check_valid("\xF4\x8F\xBF\xBF", 0x10FFFF);
}

BOOST_AUTO_TEST_CASE(invalid_utf8) {
    // Overlong forms.
    for (const auto text : {"\xC0\x80"sv, "\xC0\xAF"sv, "\xC1\xBF"sv, "\xE0\x80\x80"sv, "\xE0\x80\xAF"sv,
                            "\xE0\x9F\xBF"sv, "\xF0\x80\x80\x80"sv, "\xF0\x80\x80\xAF"sv, "\xF0\x8F\xBF\xBF"sv})
        check_invalid(text);
    // Surrogates.
    for (const auto text : {"\xED\xA0\x80"sv, "\xED\xAD\xBF"sv, "\xED\xB0\x80"sv, "\xED\xBF\xBF"sv})
        check_invalid(text);
    // Above U+10FFFF, and first bytes of sequences that do not exist.
    for (const auto text : {"\xF4\x90\x80\x80"sv, "\xF5\x80\x80\x80"sv, "\xF8\x88\x80\x80\x80"sv, "\xFE"sv, "\xFF"sv})
        check_invalid(text);
    // Continuations without a beginning.
    for (unsigned value = 0x80; value < 0xC0; ++value) check_invalid(std::string(2, static_cast<char>(value)));
    // Torn sequences, at the end and in the middle of a text.
    for (const char32_t c : {0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF}) {
        const auto whole = encoded_utf8(c);
        for (std::size_t size = 1; size < whole.size(); ++size) {
            check_invalid(whole.substr(0, size));
            check_invalid(whole.substr(0, size) + "aaaa");
            check_invalid(whole.substr(0, size) + "\xC3\xA4\xC3\xA4");
        }
    }
}

BOOST_AUTO_TEST_CASE(byte_order) {
    BOOST_TEST(to_hex(bytes_in_order<std::endian::big>(std::int64_t{0x0102030405060708})) == "0102030405060708");
    BOOST_TEST(to_hex(bytes_in_order<std::endian::little>(std::int64_t{0x0102030405060708})) == "0807060504030201");
    BOOST_TEST(to_hex(bytes_in_order<std::endian::big>(std::int32_t{-2})) == "fffffffe");
    BOOST_TEST(to_hex(bytes_in_order<std::endian::big>(std::uint16_t{0x0102})) == "0102");
    BOOST_TEST(to_hex(bytes_in_order<std::endian::big>(std::uint8_t{7})) == "07");
}

template <std::endian order>
void check_fields(std::string_view hex) {
    std::string bytes = "what was there before";
    write_measured<order>(bytes, [](auto& out) {
        out.number(std::uint8_t{1});
        const auto size_at = out.size();
        out.number(std::uint32_t{0});
        out.text("ab");
        out.text({});
        out.raw("xyz", 3);
        out.raw(nullptr, 0);
        out.overwrite(size_at, static_cast<std::uint32_t>(out.size()));
        out.number(std::int64_t{-2});
    });
    BOOST_TEST(to_hex(bytes_of(bytes)) == hex);

    const auto read = [](BinaryReader<order>& in) {
        BOOST_TEST(in.template number<std::uint8_t>() == 1);
        BOOST_TEST(in.template number<std::uint32_t>() == 18U);
        BOOST_TEST(in.text() == "ab");
        BOOST_TEST(in.text().empty());
        BOOST_TEST(text_of(in.take(3)) == "xyz");
        BOOST_TEST(!in.is_done());
        BOOST_TEST(in.template number<std::int64_t>() == -2);
    };
    BinaryReader<order> in(bytes_of(bytes));
    read(in);
    BOOST_TEST(in.is_ok());
    BOOST_TEST(in.is_done());
}

BOOST_AUTO_TEST_CASE(binary_fields) {
    check_fields<std::endian::little>(
        "011200000002000000616200000000"
        "78797a"
        "feffffffffffffff");
    check_fields<std::endian::big>(
        "010000001200000002616200000000"
        "78797a"
        "fffffffffffffffe");
}

// The sanitizers detect reads out of bounds.
BOOST_AUTO_TEST_CASE(reads_past_the_end_yield_nothing) {
    const auto bytes = bytes_of("\x01\x02\x03"sv);
    BinaryReader<std::endian::big> in(bytes);
    BOOST_TEST(in.number<std::uint32_t>() == 0U);
    BOOST_TEST(!in.is_ok());
    BOOST_TEST(in.number<std::uint8_t>() == 0);  // also what would fit
    BOOST_TEST(in.text().empty());
    BOOST_TEST(in.take(0).empty());
    BOOST_TEST(!in.is_done());

    BinaryReader<std::endian::big> text(
        bytes_of("\xFF\xFF\xFF\xFF"
                 "abc"sv));
    BOOST_TEST(text.text().empty());
    BOOST_TEST(!text.is_ok());

    BinaryReader<std::endian::little> empty({});
    BOOST_TEST(empty.is_done());
    std::array<char, 2> array{'a', 'b'};
    empty.raw(array.data(), array.size());
    BOOST_TEST(!empty.is_ok());
    BOOST_TEST(array[0] == 'a');
}
