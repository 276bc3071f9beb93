// SQL through SPI with typed arguments and typed answers.
//
// Every name in the text is schema-qualified; callers run as the extension's owner with a pinned search_path (SECURITY
// DEFINER functions, the worker). Plans are kept, so what varies belongs into an argument. Server errors come as
// ServerError.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace jit::pg {

struct RoleId {
    std::uint32_t oid = 0;
    bool operator==(const RoleId&) const = default;
    explicit operator bool() const noexcept { return oid != 0; }
};

// timestamptz: microseconds since 2000-01-01 UTC.
struct Instant {
    std::int64_t us = 0;
    bool operator==(const Instant&) const = default;
    bool operator<(const Instant& other) const noexcept { return us < other.us; }
};

// interval: a fixed number of microseconds; what is written has neither months nor days.
struct Duration {
    std::int64_t us = 0;
    bool operator==(const Duration&) const = default;
};

using TextArray = std::vector<std::string>;
// std::monostate is NULL in an answer; a NULL argument has a type and is made by nullable().
using Value =
    std::variant<std::monostate, bool, std::int32_t, std::int64_t, RoleId, Instant, std::string, TextArray, Duration>;

// An argument: a value, or NULL of the type a value would have.
struct Argument {
    Value value;
    std::size_t type = 0;  // index in Value
    bool null = false;

    template <class T>
    requires(std::constructible_from<Value, T>) Argument(T of)  // NOLINT: arguments are written as plain values
        : value(std::move(of)), type(value.index()) {}
    Argument(Value of, bool is_null) : value(std::move(of)), type(value.index()), null(is_null) {}
};

template <class T>
Argument nullable(const std::optional<T>& value) {
    return value ? Argument(Value(*value), false) : Argument(Value(T{}), true);
}

// The same for an interval that is kept as microseconds.
inline Argument nullable_duration(const std::optional<std::int64_t>& us) {
    return us ? Argument(Value(Duration{*us}), false) : Argument(Value(Duration{}), true);
}

class Row {
public:
    explicit Row(std::vector<Value> cells) : cells_(std::move(cells)) {}

    [[nodiscard]] bool is_null(std::size_t column) const { return cells_.at(column).index() == 0; }
    // The type must be the column's: a mismatch is a programming error and throws.
    template <class T>
    [[nodiscard]] const T& get(std::size_t column) const {
        return std::get<T>(cells_.at(column));
    }
    template <class T>
    [[nodiscard]] std::optional<T> maybe(std::size_t column) const {
        if (is_null(column)) return std::nullopt;
        return get<T>(column);
    }

private:
    std::vector<Value> cells_;
};

// Answers of SELECT and RETURNING. Integers of 2 and 4 bytes come as int32, arrays of text as TextArray, other types
// as their text.
std::vector<Row> query(const char* sql, std::initializer_list<Argument> args = {});
std::vector<Row> query(const char* sql, const std::vector<Argument>& args);
// The first row, if any.
std::optional<Row> query_row(const char* sql, const std::vector<Argument>& args);
std::optional<Row> query_row(const char* sql, std::initializer_list<Argument> args = {});
// The same for a query alone, by what is committed now, and by this transaction: not by its older snapshot.
std::optional<Row> query_latest(const char* sql, std::initializer_list<Argument> args = {});
// For a look at everything there is. It is planned each time: the plan that is best for a few rows, kept until there
// are many, would take ages.
std::vector<Row> query_replanned(const char* sql);
// Number of rows processed.
std::uint64_t execute(const char* sql, std::initializer_list<Argument> args = {});
// A command that takes no parameters and is planned each time; build it with quote().
void command(const std::string& sql);
// GRANT, REVOKE or DROP OWNED on objects. No lock makes two who change the same access list wait for each other: the
// second gets "tuple concurrently updated" (XX000) when the first commits. It is tried again for two seconds.
void change_access_lists(const std::string& sql);

[[nodiscard]] std::string quote(std::string_view identifier);

}  // namespace jit::pg
