// SQL through SPI with typed arguments and typed results.
//
// Contract: every name in the text is schema-qualified; callers run as the extension's owner with a pinned search_path
// (SECURITY DEFINER functions, the worker). Plans are kept for the life of the process, keyed by the text and the types
// of the arguments, so the text must not vary: pass values as arguments. Needs a transaction. Throws
// ServerError.
//
// Results are copied out of SPI's memory, so they outlive the call.
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

// interval, as a fixed number of microseconds. An argument has neither months nor days; in a result a month counts as
// 30 days.
struct Duration {
    std::int64_t us = 0;
    bool operator==(const Duration&) const = default;
};

using TextArray = std::vector<std::string>;
// std::monostate is NULL in a result. A NULL argument needs a type: use nullable().
using Value =
    std::variant<std::monostate, bool, std::int32_t, std::int64_t, RoleId, Instant, std::string, TextArray, Duration>;

// A value, or NULL of the type that the value would have.
struct Argument {
    Value value;
    std::size_t type = 0;  // index in Value
    bool null = false;

    template <class T>
    requires(std::constructible_from<Value, T>) Argument(T plain)  // NOLINT: arguments are written as plain values
        : value(std::move(plain)), type(value.index()) {}
    Argument(Value typed, bool is_null) : value(std::move(typed)), type(value.index()), null(is_null) {}
};

template <class T>
Argument nullable(const std::optional<T>& value) {
    return value ? Argument(Value(*value), false) : Argument(Value(T{}), true);
}

// The same for an interval that the caller keeps as microseconds.
inline Argument nullable_duration(const std::optional<std::int64_t>& us) {
    return us ? Argument(Value(Duration{*us}), false) : Argument(Value(Duration{}), true);
}

class Row {
public:
    explicit Row(std::vector<Value> cells) : cells_(std::move(cells)) {}

    [[nodiscard]] bool is_null(std::size_t column) const { return cells_.at(column).index() == 0; }
    // T must be the type of the column; otherwise std::bad_variant_access is thrown.
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

// Rows of SELECT or RETURNING. smallint and integer are returned as int32, oid as RoleId, and arrays of text as
// TextArray. Values of types for which Value has no alternative are returned as text.
std::vector<Row> query(const char* sql, std::initializer_list<Argument> args = {});
std::vector<Row> query(const char* sql, const std::vector<Argument>& args);
// The first row, if any.
std::optional<Row> query_row(const char* sql, const std::vector<Argument>& args);
std::optional<Row> query_row(const char* sql, std::initializer_list<Argument> args = {});
// The same with the latest snapshot, so that a transaction at a higher isolation level also sees what has been
// committed since its own snapshot was taken. For queries only.
std::optional<Row> query_latest(const char* sql, std::initializer_list<Argument> args = {});
// For queries over whole tables. They are planned each time, because a cached plan that was chosen for few rows would
// be much too slow for many rows.
std::vector<Row> query_replanned(const char* sql);
// Runs a statement and returns the number of rows processed.
std::uint64_t execute(const char* sql, std::initializer_list<Argument> args = {});
// Runs a command that takes no parameters, such as CREATE ROLE. Its plan is not kept; quote identifiers with quote().
void command(const std::string& sql);
// Runs GRANT, REVOKE or DROP OWNED on objects. No lock serializes two changes of one access list: when the first
// commits, the second fails with "tuple concurrently updated" (XX000). In that case the command is retried for up to
// two seconds.
void change_access_lists(const std::string& sql);

[[nodiscard]] std::string quote(std::string_view identifier);

}  // namespace jit::pg
