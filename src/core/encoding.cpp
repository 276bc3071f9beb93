#include "jit_access/core/encoding.hpp"

#include <algorithm>

namespace jit::core {

namespace {

// Returns the value of a hexadecimal digit; a negative number for any other character.
int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool is_unreserved(char c) noexcept {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

}  // namespace

std::string to_hex(Bytes bytes) {
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const auto byte : bytes) {
        const auto value = std::to_integer<unsigned>(byte);
        text += hex_digit(value >> 4);
        text += hex_digit(value);
    }
    return text;
}

std::optional<std::vector<std::byte>> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    std::vector<std::byte> bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = hex_value(text[i]);
        const int low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes.push_back(static_cast<std::byte>(high << 4 | low));
    }
    return bytes;
}

void append_hex_escape(std::string& to, char byte) {
    const auto value = static_cast<unsigned char>(byte);
    to += {'\\', 'x', hex_digit(value >> 4U), hex_digit(value)};
}

std::string to_base64(Bytes bytes) {
    constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    // Three bytes become four letters; the last group is padded.
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k)
            group = group << 8 | (i + k < bytes.size() ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0U);
        for (std::size_t k = 0; k < 4; ++k) text += i + k > bytes.size() ? '=' : letters[group >> (18 - 6 * k) & 0x3FU];
    }
    return text;
}

std::string percent_encode(std::string_view text) {
    std::string encoded;
    for (const char c : text) {
        const auto value = static_cast<unsigned char>(c);
        if (is_unreserved(c))
            encoded += c;
        else
            encoded += {'%', upper_hex_digit(value >> 4U), upper_hex_digit(value)};
    }
    return encoded;
}

std::string to_text(const Uuid& uuid) {
    auto text = to_hex(bytes_of(uuid));
    for (const std::size_t at : {20, 16, 12, 8}) text.insert(at, 1, '-');
    return text;
}

std::optional<Uuid> uuid_from_text(std::string_view text) {
    std::string digits(text);
    std::erase(digits, '-');
    const auto bytes = array_from_hex<std::tuple_size_v<Uuid>>(digits);
    if (!bytes) return std::nullopt;
    return std::bit_cast<Uuid>(*bytes);
}

Uuid uuid_from_random(Uuid random) noexcept {
    random[6] = static_cast<std::uint8_t>((random[6] & 0x0FU) | 0x40U);  // version 4
    random[8] = static_cast<std::uint8_t>((random[8] & 0x3FU) | 0x80U);  // variant of RFC 4122
    return random;
}

DecodedCharacter decode_utf8(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return {first, 1};
    const std::size_t size = utf8_length(first);
    if (first < 0xC2 || first > 0xF4 || size > text.size()) return {};
    char32_t character = first & (0x7FU >> size);
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xC0U) != 0x80U) return {};
        character = character << 6 | (byte(i) & 0x3FU);
    }
    constexpr std::array<char32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};  // by size; a smaller value is overlong
    const bool is_surrogate = character >= 0xD800 && character <= 0xDFFF;
    if (character < smallest[size] || character > 0x10FFFF || is_surrogate) return {};
    return {character, size};
}

}  // namespace jit::core
