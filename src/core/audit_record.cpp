#include "jit_access/core/audit_record.hpp"

namespace jit::core {

namespace {

using Reader = BinaryReader<std::endian::big>;

// First byte of the canonical bytes. The bytes of a written row must never change, or its hash would no longer match.
// A new column must therefore be nullable and needs a new form. Rows in which it is NULL keep this form and its
// columns, and both forms must be readable.
constexpr std::uint8_t form = 1;
static_assert(record_columns.size() == 29,
              "form 1 of the canonical bytes has 29 columns: a new column needs a new form");

constexpr std::uint32_t null_length = 0xFFFFFFFFU;

// Writes one column, or one element of an array, by its type.
template <class Sink>
class FieldWriter {
public:
    explicit FieldWriter(Sink& out) noexcept : out_(out) {}

    void operator()(std::int64_t value) noexcept { write_number(value); }
    void operator()(std::int32_t value) noexcept { write_number(value); }
    void operator()(const Uuid& value) noexcept { out_.text(text_of(bytes_of(value))); }
    void operator()(std::string_view value) noexcept { out_.text(value); }
    void operator()(const Span& value) noexcept {
        out_.number(std::uint32_t{16});
        out_.number(value.microseconds);
        out_.number(value.days);
        out_.number(value.months);
    }
    template <class T>
    void operator()(const std::vector<T>& values) noexcept {
        const auto length_at = out_.size();
        out_.number(std::uint32_t{0});
        const auto start = out_.size();
        for (const auto& value : values) (*this)(value);
        out_.overwrite(length_at, static_cast<std::uint32_t>(out_.size() - start));
    }
    template <class T>
    void operator()(const std::optional<T>& value) noexcept {
        if (value)
            (*this)(*value);
        else
            out_.number(null_length);
    }

private:
    template <class T>
    void write_number(T value) noexcept {
        out_.number(static_cast<std::uint32_t>(sizeof value));
        out_.number(value);
    }

    Sink& out_;
};

// Returns the next field: nothing if it is NULL, and empty bytes if it is incomplete.
std::optional<Bytes> read_field(Reader& in) noexcept {
    const auto size = in.number<std::uint32_t>();
    if (size == null_length) return std::nullopt;
    return in.take(size);
}

void append_quoted(std::string& to, Bytes bytes) {
    to += '"';
    for (const char c : text_of(bytes)) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
            append_hex_escape(to, c);
            continue;
        }
        if (c == '"' || c == '\\') to += '\\';
        to += c;
    }
    to += '"';
}

// Appends the value of one field in readable form. Only the type of the visited value is used.
class FieldPrinter {
public:
    FieldPrinter(Bytes bytes, std::string& to) : bytes_(bytes), to_(to) {}

    void operator()(std::int64_t) { print_number<std::int64_t>(); }
    void operator()(std::int32_t) { print_number<std::int32_t>(); }
    void operator()(const Uuid&) {
        const auto digits = to_hex(bytes_);
        for (std::size_t i = 0; i < digits.size(); ++i) {
            if (i == 8 || i == 12 || i == 16 || i == 20) to_ += '-';
            to_ += digits[i];
        }
    }
    void operator()(std::string_view) { append_quoted(to_, bytes_); }
    void operator()(const Span&) {
        print_number<std::int64_t>();
        to_ += "us";
    }
    template <class T>
    void operator()(const std::vector<T>&) {
        Reader in(bytes_);
        to_ += '{';
        for (bool is_first = true; in.is_ok() && !in.is_done(); is_first = false) {
            if (!is_first) to_ += ',';
            if (const auto element = read_field(in); element && in.is_ok()) FieldPrinter(*element, to_)(T{});
        }
        to_ += '}';
    }
    template <class T>
    void operator()(const std::optional<T>&) {
        (*this)(T{});
    }

private:
    template <class T>
    void print_number() {
        to_ += std::to_string(Reader(bytes_).number<T>());
    }

    Bytes bytes_;
    std::string& to_;
};

}  // namespace

void canonical_bytes(const AuditRecord& record, std::vector<std::byte>& to) {
    write_measured<std::endian::big>(to, [&record](auto& out) {
        out.number(form);
        for_each_column(record, [&out](const ColumnInfo&, const auto& value) { FieldWriter{out}(value); });
    });
}

std::optional<Bytes> column_of(Bytes bytes, std::string_view name) {
    Reader in(bytes);
    if (in.number<std::uint8_t>() != form) return std::nullopt;
    for (const auto& column : record_columns) {
        const auto field = read_field(in);
        if (!in.is_ok()) return std::nullopt;
        if (column.name == name) return field;
    }
    return std::nullopt;
}

std::optional<std::string> explain_bytes(Bytes bytes) {
    Reader in(bytes);
    if (in.number<std::uint8_t>() != form) return std::nullopt;
    std::string text;
    const AuditRecord record_of_types;  // only its types are used
    for_each_column(record_of_types, [&](const ColumnInfo& column, const auto& value) {
        const auto field = read_field(in);
        if (!field || !in.is_ok()) return;
        if (!text.empty()) text += ' ';
        text.append(column.name).append(1, '=');
        FieldPrinter(*field, text)(value);
    });
    if (!in.is_done()) return std::nullopt;
    return text;
}

}  // namespace jit::core
