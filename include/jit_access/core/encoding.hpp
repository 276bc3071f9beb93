// Text and binary encodings, each of them in one place: hexadecimal, base64, percent-encoding, UTF-8, UUIDs, and the
// reader and writer of binary fields that the journal, the canonical bytes of the record and packed conditions share.
//
// Sources: RFC 4648 (base64, hexadecimal), RFC 3986 section 2 (percent-encoding), RFC 3629 (UTF-8), RFC 4122 (UUID).
// Functions that decode return nothing for malformed input and do not throw. Functions that return a std::string
// or a std::vector allocate; BinaryReader, BinaryWriter and BinaryMeter do not allocate and are inlined, because every
// audited statement encodes a use.
#pragma once

#include "jit_access/core/zone.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace jit::core {

using Bytes = std::span<const std::byte>;
using Uuid = std::array<std::uint8_t, 16>;

[[nodiscard]] inline Bytes bytes_of(std::string_view text) noexcept {
    return std::as_bytes(std::span(text.data(), text.size()));
}
[[nodiscard]] inline Bytes bytes_of(const Uuid& uuid) noexcept { return std::as_bytes(std::span(uuid)); }
[[nodiscard]] inline std::string_view text_of(Bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// ---- hexadecimal, base64, percent-encoding --------------------------------------------------------------------------

// The hexadecimal digit for the four lowest bits.
[[nodiscard]] constexpr char hex_digit(unsigned value) noexcept {
    constexpr std::string_view digits = "0123456789abcdef";
    return digits[value & 0xFU];
}
[[nodiscard]] constexpr char upper_hex_digit(unsigned value) noexcept {
    const char digit = hex_digit(value);
    return digit < 'a' ? digit : static_cast<char>(digit - 'a' + 'A');
}

[[nodiscard]] std::string to_hex(Bytes bytes);
// Accepts digits of either case. Returns nothing for an odd number of digits or any other character.
[[nodiscard]] std::optional<std::vector<std::byte>> from_hex(std::string_view text);
// The same for a value of fixed size. Returns nothing if the text has another size.
template <std::size_t size>
[[nodiscard]] std::optional<std::array<std::byte, size>> array_from_hex(std::string_view text) {
    const auto bytes = from_hex(text);
    if (!bytes || bytes->size() != size) return std::nullopt;
    std::array<std::byte, size> array;
    std::memcpy(array.data(), bytes->data(), size);
    return array;
}

// Appends \xHH.
void append_hex_escape(std::string& to, char byte);

[[nodiscard]] std::string to_base64(Bytes bytes);

// Every byte that RFC 3986 does not list as unreserved becomes %HH.
[[nodiscard]] std::string percent_encode(std::string_view text);

// ---- UUID -----------------------------------------------------------------------------------------------------------

[[nodiscard]] std::string to_text(const Uuid& uuid);
// Accepts a UUID with or without hyphens.
[[nodiscard]] std::optional<Uuid> uuid_from_text(std::string_view text);
// Sets the version and the variant of a random (version 4) UUID in 16 random bytes.
[[nodiscard]] Uuid uuid_from_random(Uuid random) noexcept;

// ---- UTF-8 ----------------------------------------------------------------------------------------------------------

inline constexpr char32_t replacement_character = 0xFFFD;

struct DecodedCharacter {
    char32_t character = replacement_character;
    std::size_t size = 1;  // bytes
};

// Returns the number of bytes of a sequence according to its first byte. The result for a byte that starts no sequence
// is arbitrary.
[[nodiscard]] constexpr std::size_t utf8_length(unsigned char first) noexcept {
    return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}
// Returns the first character of the text, which must not be empty. Overlong forms, surrogates, values above U+10FFFF
// and incomplete sequences are invalid; for these the result is a replacement character of size 1.
[[nodiscard]] DecodedCharacter decode_utf8(std::string_view text) noexcept;

// ---- binary fields --------------------------------------------------------------------------------------------------

static_assert(std::endian::native == std::endian::little, "jit_access supports little-endian machines only");

// Converts a number between the native byte order and `order`. The function is its own inverse.
template <std::endian order, class T>
[[nodiscard]] constexpr T in_byte_order(T value) noexcept {
    static_assert(std::is_integral_v<T> || std::is_enum_v<T>);
    if constexpr (order == std::endian::native || sizeof(T) == 1)
        return value;
    else if constexpr (sizeof(T) == 2)
        return static_cast<T>(__builtin_bswap16(static_cast<std::uint16_t>(value)));
    else if constexpr (sizeof(T) == 4)
        return static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
    else
        return static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(value)));
}

template <std::endian order, class T>
[[nodiscard]] constexpr std::array<std::byte, sizeof(T)> bytes_in_order(T value) noexcept {
    return std::bit_cast<std::array<std::byte, sizeof(T)>>(in_byte_order<order>(value));
}

// Counts what a BinaryWriter would write.
class BinaryMeter {
public:
    template <class T>
    void number(T) noexcept {
        size_ += sizeof(T);
    }
    void raw(const void*, std::size_t size) noexcept { size_ += size; }
    void text(std::string_view value) noexcept { size_ += sizeof(std::uint32_t) + value.size(); }
    template <class T>
    void overwrite(std::size_t, T) noexcept {}
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    std::size_t size_ = 0;
};

// Writes fields one after the other. The memory must be large enough, so the fields are measured first; see
// write_measured().
template <std::endian order>
class BinaryWriter {
public:
    explicit BinaryWriter(std::byte* to) noexcept : begin_(to), at_(to) {}

    template <class T>
    void number(T value) noexcept {
        value = in_byte_order<order>(value);
        std::memcpy(at_, &value, sizeof value);
        at_ += sizeof value;
    }
    void raw(const void* bytes, std::size_t size) noexcept {
        if (size == 0) return;  // an empty view may be null, which memcpy does not allow
        std::memcpy(at_, bytes, size);
        at_ += size;
    }
    // Writes the text after its size, which takes four bytes.
    void text(std::string_view value) noexcept {
        number(static_cast<std::uint32_t>(value.size()));
        raw(value.data(), value.size());
    }
    // Replaces a number that was written at this offset, for example a size that was not yet known then.
    template <class T>
    void overwrite(std::size_t at, T value) noexcept {
        value = in_byte_order<order>(value);
        std::memcpy(begin_ + at, &value, sizeof value);
    }
    [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

private:
    std::byte* begin_;
    std::byte* at_;
};

// Calls walk(meter), resizes `to` to the measured size, and calls walk(writer). The same walk over the fields measures
// and writes, so the two cannot disagree. The memory of `to` is reused if it is large enough.
template <std::endian order, class Container, class Walk>
void write_measured(Container& to, Walk&& walk) {
    BinaryMeter meter;
    walk(meter);
    to.resize(meter.size());
    BinaryWriter<order> writer(reinterpret_cast<std::byte*>(to.data()));
    walk(writer);
}

// Reads fields one after the other. A read past the end yields zeroes, and is_ok() is false from then on, so a caller
// may read a whole structure and check once at its end.
template <std::endian order>
class BinaryReader {
public:
    explicit BinaryReader(Bytes bytes) noexcept : rest_(bytes) {}

    template <class T>
    T number() noexcept {
        T value{};
        raw(&value, sizeof value);
        return in_byte_order<order>(value);
    }
    void raw(void* to, std::size_t size) noexcept {
        const auto bytes = take(size);
        if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    }
    // Returns the next `size` bytes; empty if fewer remain.
    Bytes take(std::size_t size) noexcept {
        is_ok_ = is_ok_ && size <= rest_.size();
        if (!is_ok_) return {};
        const auto taken = rest_.first(size);
        rest_ = rest_.subspan(size);
        return taken;
    }
    // Reads a text written by BinaryWriter::text(); the view points into the bytes that are read.
    std::string_view text() noexcept { return text_of(take(number<std::uint32_t>())); }

    [[nodiscard]] bool is_ok() const noexcept { return is_ok_; }
    // True if all bytes were read and no read went past the end.
    [[nodiscard]] bool is_done() const noexcept { return is_ok_ && rest_.empty(); }

private:
    Bytes rest_;
    bool is_ok_ = true;
};

}  // namespace jit::core
