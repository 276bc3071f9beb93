// One row of the record (jit_access.record), its columns, and the canonical bytes that represent it in the hash chain.
//
// The canonical bytes hold every column but the hash in a fixed order. Each column is preceded by its length, and
// numbers are big-endian. Nothing depends on a setting, a locale or a time zone. Two rows that differ anywhere have
// different bytes. The bytes of an array are those of its elements, each preceded by its length. A length of 0xFFFFFFFF
// means NULL.
//
// An AuditRecord owns only its arrays. Its texts are views, and the caller must keep the memory to which they point.
// Times are microseconds since 2000-01-01 00:00 UTC, as PostgreSQL counts them.
#pragma once

#include "jit_access/core/zone.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "jit_access/core/encoding.hpp"

namespace jit::core {

// An interval, as the server stores it.
struct Span {
    std::int64_t microseconds = 0;
    std::int32_t days = 0;
    std::int32_t months = 0;
};

// The members are the columns of the table, in order, without the hash. record_column_table below lists them again with
// their SQL types; the compiler checks that the two lists agree.
struct AuditRecord {
    using Number = std::optional<std::int64_t>;
    using Small = std::optional<std::int32_t>;
    using Text = std::optional<std::string_view>;

    std::int64_t seq = 0;
    Uuid node{};
    Number position;
    std::string_view kind;
    std::int64_t at = 0;
    Number grant_id;
    std::optional<std::vector<std::int64_t>> grants;
    Text login;
    Text role;
    Text database;
    Text client_addr;
    Text application;
    Small pid;
    Number session_start;
    Small depth;
    Text tag;
    Text statement;
    Small statement_bytes;
    Text statement_sha256;  // of the whole statement, if `statement` is cut
    Text parameters;
    std::optional<std::vector<std::string_view>> objects;
    std::optional<std::vector<std::string_view>> privileges;
    std::optional<std::vector<std::string_view>> standing_privileges;  // those of `privileges` held without a grant
    Text outcome;
    Number rows;
    std::optional<Span> duration;
    Text sqlstate;
    Text detail;  // jsonb, as the server writes it
    Number of_position;
};

// ---- the columns ----------------------------------------------------------------------------------------------------

enum class SqlType : std::uint8_t {
    bigint,
    integer,
    text,
    uuid,
    timestamptz,
    interval,
    jsonb,
    bigint_array,
    text_array,
    bytea
};
enum class Nullability : std::uint8_t { not_null, nullable };
// Where a column is shown besides the table: in the view jit_access.audit_log and in the function jit_access.journal().
enum class Shown : std::uint8_t { nowhere = 0, audit_log = 1, journal = 2, both = 3 };

struct ColumnInfo {
    std::string_view name;
    SqlType type = SqlType::text;
    Nullability nullability = Nullability::nullable;
    Shown shown = Shown::nowhere;

    [[nodiscard]] constexpr bool is_shown_in(Shown relation) const noexcept {
        return (static_cast<unsigned>(shown) & static_cast<unsigned>(relation)) != 0;
    }
};

template <class T>
struct Column : ColumnInfo {
    using Value = T;
    T AuditRecord::*member;

    constexpr Column(std::string_view column_name, SqlType sql_type, Nullability nulls, Shown relations,
                     T AuditRecord::*of_record)
        : ColumnInfo{column_name, sql_type, nulls, relations}, member(of_record) {}
};

// The only list of the columns, in the order of the table and of the canonical bytes. All code that iterates over the
// columns uses this list; test/arch/record_columns compares the SQL and the documentation with it. A new column is
// added at the end.
inline constexpr auto record_column_table = [] {
    using enum SqlType;
    using enum Nullability;
    using enum Shown;
    using Row = AuditRecord;
    return std::tuple{Column{"seq", bigint, not_null, audit_log, &Row::seq},
                      Column{"node", uuid, not_null, journal, &Row::node},
                      Column{"position", bigint, nullable, journal, &Row::position},
                      Column{"kind", text, not_null, both, &Row::kind},
                      Column{"at", timestamptz, not_null, both, &Row::at},
                      Column{"grant_id", bigint, nullable, both, &Row::grant_id},
                      Column{"grants", bigint_array, nullable, both, &Row::grants},
                      Column{"login", text, nullable, both, &Row::login},
                      Column{"role", text, nullable, both, &Row::role},
                      Column{"database", text, nullable, both, &Row::database},
                      Column{"client_addr", text, nullable, both, &Row::client_addr},
                      Column{"application", text, nullable, both, &Row::application},
                      Column{"pid", integer, nullable, both, &Row::pid},
                      Column{"session_start", timestamptz, nullable, both, &Row::session_start},
                      Column{"depth", integer, nullable, both, &Row::depth},
                      Column{"tag", text, nullable, both, &Row::tag},
                      Column{"statement", text, nullable, both, &Row::statement},
                      Column{"statement_bytes", integer, nullable, both, &Row::statement_bytes},
                      Column{"statement_sha256", text, nullable, both, &Row::statement_sha256},
                      Column{"parameters", text, nullable, both, &Row::parameters},
                      Column{"objects", text_array, nullable, both, &Row::objects},
                      Column{"privileges", text_array, nullable, both, &Row::privileges},
                      Column{"standing_privileges", text_array, nullable, both, &Row::standing_privileges},
                      Column{"outcome", text, nullable, both, &Row::outcome},
                      Column{"rows", bigint, nullable, both, &Row::rows},
                      Column{"duration", interval, nullable, both, &Row::duration},
                      Column{"sqlstate", text, nullable, both, &Row::sqlstate},
                      Column{"detail", jsonb, nullable, both, &Row::detail},
                      Column{"of_position", bigint, nullable, journal, &Row::of_position}};
}();

// This column exists only in the table, because the hash of a row covers the bytes of the other columns.
inline constexpr ColumnInfo hash_column{"hash", SqlType::bytea, Nullability::not_null, Shown::nowhere};

// The same columns as a list for loops.
inline constexpr auto record_columns = std::apply(
    [](const auto&... column) { return std::array<ColumnInfo, sizeof...(column)>{column...}; }, record_column_table);

// Calls visit(column, value) for each column in order; `column` is a ColumnInfo.
template <class Row, class Visit>
void for_each_column(Row& record, Visit&& visit) {
    [&]<std::size_t... i>(std::index_sequence<i...>) {
        (visit(static_cast<const ColumnInfo&>(std::get<i>(record_column_table)),
               record.*std::get<i>(record_column_table).member),
         ...);
    }
    (std::make_index_sequence<record_columns.size()>{});
}

namespace detail {

// Whether the C++ type is the one for values of the SQL type.
template <class T>
constexpr bool is_held_as(SqlType type) {
    switch (type) {
        case SqlType::bigint:
        case SqlType::timestamptz: return std::is_same_v<T, std::int64_t>;
        case SqlType::integer: return std::is_same_v<T, std::int32_t>;
        case SqlType::text:
        case SqlType::jsonb: return std::is_same_v<T, std::string_view>;
        case SqlType::uuid: return std::is_same_v<T, Uuid>;
        case SqlType::interval: return std::is_same_v<T, Span>;
        case SqlType::bigint_array: return std::is_same_v<T, std::vector<std::int64_t>>;
        case SqlType::text_array: return std::is_same_v<T, std::vector<std::string_view>>;
        case SqlType::bytea: return false;
    }
    return false;
}

template <class T>
constexpr bool fits_its_member(const Column<T>& column) {
    return column.nullability == Nullability::not_null && is_held_as<T>(column.type);
}
template <class T>
constexpr bool fits_its_member(const Column<std::optional<T>>& column) {
    return column.nullability == Nullability::nullable && is_held_as<T>(column.type);
}

// The size of a struct with these members in this order.
template <class... Columns>
constexpr std::size_t size_of_members(const std::tuple<Columns...>&) {
    std::size_t size = 0;
    const auto pad_to = [&](std::size_t alignment) { size = (size + alignment - 1) / alignment * alignment; };
    ((pad_to(alignof(typename Columns::Value)), size += sizeof(typename Columns::Value)), ...);
    pad_to(alignof(AuditRecord));
    return size;
}

}  // namespace detail

static_assert(std::apply([](const auto&... column) { return (detail::fits_its_member(column) && ...); },
                         record_column_table),
              "a column of record_column_table has another type or nullability than its member of AuditRecord");
static_assert(detail::size_of_members(record_column_table) == sizeof(AuditRecord),
              "a member of AuditRecord is missing in record_column_table");

// ---- the canonical bytes --------------------------------------------------------------------------------------------

// Replaces the contents of `to` and reuses its memory.
void canonical_bytes(const AuditRecord& record, std::vector<std::byte>& to);

// Returns the bytes of one column; nothing if it is NULL or the bytes are not those of a record.
[[nodiscard]] std::optional<Bytes> column_of(Bytes bytes, std::string_view name);

// Returns the bytes in readable form, "column=value ...", without the columns that are NULL; nothing if the bytes are
// not those of a record.
[[nodiscard]] std::optional<std::string> explain_bytes(Bytes bytes);

}  // namespace jit::core
