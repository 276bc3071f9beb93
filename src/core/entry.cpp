#include "jit_access/core/entry.hpp"

#include <algorithm>

namespace jit::core {

namespace {

constexpr std::uint8_t form = 1;  // of the bytes; a new one when a column is added
constexpr std::uint32_t null_length = 0xFFFFFFFFU;

class Writer {
public:
    explicit Writer(std::vector<std::byte>& to) : to_(to) {}

    void operator()(std::int64_t value) {
        with_length(8, [&] { number(static_cast<std::uint64_t>(value), 8); });
    }
    void operator()(std::int32_t value) {
        with_length(4, [&] { number(static_cast<std::uint32_t>(value), 4); });
    }
    void operator()(const Uuid& value) {
        with_length(value.size(), [&] { raw(value.data(), value.size()); });
    }
    void operator()(std::string_view value) {
        with_length(value.size(), [&] { raw(value.data(), value.size()); });
    }
    void operator()(const Span& value) {
        with_length(16, [&] {
            number(static_cast<std::uint64_t>(value.microseconds), 8);
            number(static_cast<std::uint32_t>(value.days), 4);
            number(static_cast<std::uint32_t>(value.months), 4);
        });
    }
    // An array has its elements in it, each with its length.
    template <class T>
    void operator()(const std::vector<T>& values) {
        const auto start = to_.size();
        number(0, 4);
        for (const auto& value : values) (*this)(value);
        const auto size = static_cast<std::uint32_t>(to_.size() - start - 4);
        for (int i = 0; i < 4; ++i) to_[start + static_cast<std::size_t>(i)] = octet(size >> (24 - 8 * i));
    }
    template <class T>
    void operator()(const std::optional<T>& value) {
        if (value)
            (*this)(*value);
        else
            number(null_length, 4);
    }

private:
    static std::byte octet(std::uint64_t value) { return static_cast<std::byte>(value & 0xFFU); }

    void number(std::uint64_t value, std::size_t size) {
        std::array<std::byte, 8> bytes{};
        for (std::size_t i = 0; i < size; ++i) bytes.at(i) = octet(value >> (8 * (size - 1 - i)));
        to_.insert(to_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    }
    void raw(const void* bytes, std::size_t size) {
        const auto* from = static_cast<const std::byte*>(bytes);
        to_.insert(to_.end(), from, from + size);
    }
    template <class Body>
    void with_length(std::size_t size, Body&& body) {
        number(size, 4);
        body();
    }

    std::vector<std::byte>& to_;
};

class Reader {
public:
    explicit Reader(std::span<const std::byte> from) : rest_(from) {}

    [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }
    [[nodiscard]] bool ok() const { return ok_; }

    std::uint64_t number(std::size_t size) {
        const auto bytes = take(size);
        std::uint64_t value = 0;
        for (const auto byte : bytes) value = value << 8 | std::to_integer<std::uint64_t>(byte);
        return value;
    }
    std::optional<std::span<const std::byte>> field() {
        const auto size = static_cast<std::uint32_t>(number(4));
        if (size == null_length) return std::nullopt;
        return take(size);
    }

private:
    std::span<const std::byte> take(std::size_t size) {
        ok_ = ok_ && size <= rest_.size();
        if (!ok_) return {};
        const auto taken = rest_.first(size);
        rest_ = rest_.subspan(size);
        return taken;
    }

    std::span<const std::byte> rest_;
    bool ok_ = true;
};

std::string quoted(std::span<const std::byte> bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text = "\"";
    for (const auto byte : bytes) {
        const auto c = std::to_integer<unsigned char>(byte);
        if (c < 0x20 || c == 0x7F) {
            text += {'\\', 'x', digits[c >> 4], digits[c & 0xF]};
            continue;
        }
        if (c == '"' || c == '\\') text += '\\';
        text += static_cast<char>(c);
    }
    return text + '"';
}

// How a column of Entry is shown, by its type.
class Teller {
public:
    Teller(std::span<const std::byte> bytes, std::string& to) : bytes_(bytes), to_(to) {}

    void operator()(std::int64_t) { to_ += std::to_string(static_cast<std::int64_t>(Reader(bytes_).number(8))); }
    void operator()(std::int32_t) { to_ += std::to_string(static_cast<std::int32_t>(Reader(bytes_).number(4))); }
    void operator()(const Uuid&) {
        constexpr std::string_view digits = "0123456789abcdef";
        for (std::size_t i = 0; i < bytes_.size(); ++i) {
            const auto c = std::to_integer<unsigned char>(bytes_[i]);
            if (i == 4 || i == 6 || i == 8 || i == 10) to_ += '-';
            to_ += {digits[c >> 4], digits[c & 0xF]};
        }
    }
    void operator()(std::string_view) { to_ += quoted(bytes_); }
    void operator()(const Span&) { to_ += std::to_string(static_cast<std::int64_t>(Reader(bytes_).number(8))) + "us"; }
    template <class T>
    void operator()(const std::vector<T>&) {
        Reader in(bytes_);
        to_ += '{';
        for (bool first = true; in.ok() && !in.done(); first = false) {
            if (!first) to_ += ',';
            if (const auto element = in.field(); element && in.ok()) Teller(*element, to_)(T{});
        }
        to_ += '}';
    }
    template <class T>
    void operator()(const std::optional<T>&) {
        (*this)(T{});
    }

private:
    std::span<const std::byte> bytes_;
    std::string& to_;
};

}  // namespace

void canonical_bytes(const Entry& entry, std::vector<std::byte>& to) {
    to.clear();
    to.push_back(std::byte{form});
    for_each_column(entry, Writer(to));
}

std::optional<std::span<const std::byte>> column_of(std::span<const std::byte> bytes, std::string_view column) {
    Reader in(bytes);
    if (in.number(1) != form) return std::nullopt;
    for (const auto name : entry_columns) {
        const auto field = in.field();
        if (!in.ok()) return std::nullopt;
        if (name == column) return field;
    }
    return std::nullopt;
}

std::optional<std::string> explain_bytes(const std::byte* bytes, std::size_t size) {
    Reader in({bytes, size});
    if (in.number(1) != form) return std::nullopt;
    std::string text;
    std::size_t column = 0;
    const Entry shape;
    for_each_column(shape, [&](const auto& value) {
        const auto name = entry_columns.at(column++);
        const auto field = in.field();
        if (!field || !in.ok()) return;
        if (!text.empty()) text += ' ';
        text.append(name).append(1, '=');
        Teller(*field, text)(value);
    });
    if (!in.done()) return std::nullopt;
    return text;
}

}  // namespace jit::core
