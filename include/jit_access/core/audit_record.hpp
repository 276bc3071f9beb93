// One row of the record, and the bytes that stand for it in the chain.
//
// The bytes are canonical: every column in a fixed order, each with its length in front, numbers big-endian, nothing
// that depends on a setting, a locale or a time zone. Two rows that differ anywhere have different bytes.
#pragma once

#include "jit_access/core/zone.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace jit::core {

using Uuid = std::array<std::uint8_t, 16>;

// As an interval is stored.
struct Span {
    std::int64_t microseconds = 0;
    std::int32_t days = 0;
    std::int32_t months = 0;
};

// The columns of jit_access.record, in order, but for the hash. Times are microseconds since 2000-01-01; texts are
// views of somebody else's memory.
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
    Text statement_sha256;  // where it is cut
    Text parameters;
    std::optional<std::vector<std::string_view>> objects;
    std::optional<std::vector<std::string_view>> privileges;
    std::optional<std::vector<std::string_view>> standing_privileges;  // those of them that needed no grant
    Text outcome;
    Number rows;
    std::optional<Span> duration;
    Text sqlstate;
    Text detail;  // jsonb, as the server writes it
    Number of_position;
};

// Calls visit(value) for each column in order.
template <class E, class Visit>
void for_each_column(E& entry, Visit&& visit) {
    visit(entry.seq);
    visit(entry.node);
    visit(entry.position);
    visit(entry.kind);
    visit(entry.at);
    visit(entry.grant_id);
    visit(entry.grants);
    visit(entry.login);
    visit(entry.role);
    visit(entry.database);
    visit(entry.client_addr);
    visit(entry.application);
    visit(entry.pid);
    visit(entry.session_start);
    visit(entry.depth);
    visit(entry.tag);
    visit(entry.statement);
    visit(entry.statement_bytes);
    visit(entry.statement_sha256);
    visit(entry.parameters);
    visit(entry.objects);
    visit(entry.privileges);
    visit(entry.standing_privileges);
    visit(entry.outcome);
    visit(entry.rows);
    visit(entry.duration);
    visit(entry.sqlstate);
    visit(entry.detail);
    visit(entry.of_position);
}

inline constexpr std::array<std::string_view, 29> audit_record_columns{"seq",
                                                                       "node",
                                                                       "position",
                                                                       "kind",
                                                                       "at",
                                                                       "grant_id",
                                                                       "grants",
                                                                       "login",
                                                                       "role",
                                                                       "database",
                                                                       "client_addr",
                                                                       "application",
                                                                       "pid",
                                                                       "session_start",
                                                                       "depth",
                                                                       "tag",
                                                                       "statement",
                                                                       "statement_bytes",
                                                                       "statement_sha256",
                                                                       "parameters",
                                                                       "objects",
                                                                       "privileges",
                                                                       "standing_privileges",
                                                                       "outcome",
                                                                       "rows",
                                                                       "duration",
                                                                       "sqlstate",
                                                                       "detail",
                                                                       "of_position"};

// Replaces what `to` held.
void canonical_bytes(const AuditRecord& entry, std::vector<std::byte>& to);

// The bytes of one column; nothing when it is NULL or the bytes are not an entry's.
[[nodiscard]] std::optional<std::span<const std::byte>> column_of(std::span<const std::byte> bytes,
                                                                  std::string_view column);

// The bytes as "column=value ..." for people; nothing when they are not an entry's.
[[nodiscard]] std::optional<std::string> explain_bytes(const std::byte* bytes, std::size_t size);

}  // namespace jit::core
