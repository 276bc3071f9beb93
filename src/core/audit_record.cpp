#include "jit_access/core/audit_record.hpp"

#include <algorithm>
#include <cstring>
#include <tuple>

namespace jit::core {

namespace {

constexpr std::uint8_t form = 1;  // of the bytes; a new one when a column is added
constexpr std::uint32_t null_length = 0xFFFFFFFFU;

std::byte octet(std::uint64_t value) noexcept { return static_cast<std::byte>(value & 0xFFU); }

// One walk over the columns serves measuring and writing, so the two cannot disagree.
class Meter {
public:
    void put(const void*, std::size_t bytes) noexcept { size += bytes; }
    void set(std::size_t, std::byte) noexcept {}

    std::size_t size = 0;
};

class Filler {
public:
    explicit Filler(std::byte* to) noexcept : to_(to) {}
    void put(const void* from, std::size_t bytes) noexcept {
        if (bytes == 0) return;  // an empty view may have no address
        std::memcpy(to_ + size, from, bytes);
        size += bytes;
    }
    void set(std::size_t at, std::byte value) noexcept { to_[at] = value; }

    std::size_t size = 0;

private:
    std::byte* to_;
};

template <class Sink>
class Writer {
public:
    explicit Writer(Sink& to) noexcept : to_(to) {}

    void operator()(std::int64_t value) noexcept {
        with_length<8>([&] { number<8>(static_cast<std::uint64_t>(value)); });
    }
    void operator()(std::int32_t value) noexcept {
        with_length<4>([&] { number<4>(static_cast<std::uint32_t>(value)); });
    }
    void operator()(const Uuid& value) noexcept {
        with_length<std::tuple_size_v<Uuid>>([&] { to_.put(value.data(), value.size()); });
    }
    void operator()(std::string_view value) noexcept {
        number<4>(value.size());
        to_.put(value.data(), value.size());
    }
    void operator()(const Span& value) noexcept {
        with_length<16>([&] {
            number<8>(static_cast<std::uint64_t>(value.microseconds));
            number<4>(static_cast<std::uint32_t>(value.days));
            number<4>(static_cast<std::uint32_t>(value.months));
        });
    }
    // An array has its elements in it, each with its length.
    template <class T>
    void operator()(const std::vector<T>& values) noexcept {
        const auto start = to_.size;
        number<4>(0);
        for (const auto& value : values) (*this)(value);
        const auto size = to_.size - start - 4;
        for (std::size_t i = 0; i < 4; ++i) to_.set(start + i, octet(size >> (24 - 8 * i)));
    }
    template <class T>
    void operator()(const std::optional<T>& value) noexcept {
        if (value)
            (*this)(*value);
        else
            number<4>(null_length);
    }

private:
    template <std::size_t bytes>
    void number(std::uint64_t value) noexcept {
        std::array<std::byte, bytes> big_endian{};
        for (std::size_t i = 0; i < bytes; ++i) big_endian[i] = octet(value >> (8 * (bytes - 1 - i)));
        to_.put(big_endian.data(), bytes);
    }
    template <std::size_t bytes, class Body>
    void with_length(Body&& body) noexcept {
        number<4>(bytes);
        body();
    }

    Sink& to_;
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

// How a column of AuditRecord is shown, by its type.
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

void canonical_bytes(const AuditRecord& entry, std::vector<std::byte>& to) {
    Meter meter;
    for_each_column(entry, Writer(meter));
    to.resize(1 + meter.size);
    to.front() = std::byte{form};
    Filler filler(to.data() + 1);
    for_each_column(entry, Writer(filler));
}

std::optional<std::span<const std::byte>> column_of(std::span<const std::byte> bytes, std::string_view column) {
    Reader in(bytes);
    if (in.number(1) != form) return std::nullopt;
    for (const auto name : audit_record_columns) {
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
    const AuditRecord shape;
    for_each_column(shape, [&](const auto& value) {
        const auto name = audit_record_columns.at(column++);
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
