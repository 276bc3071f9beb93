// A record with a value in every column, and canonical bytes, for the tests of audit_record and chain.
#pragma once

#include <limits>

#include "jit_access/core/audit_record.hpp"

namespace sample_record {

using namespace jit::core;

using Buffer = std::vector<std::byte>;
inline constexpr auto lowest = std::numeric_limits<std::int64_t>::min();
inline constexpr auto highest = std::numeric_limits<std::int64_t>::max();

[[nodiscard]] inline Uuid uuid_of(std::uint8_t first) {
    Uuid uuid{};
    for (std::size_t i = 0; i < uuid.size(); ++i) uuid.at(i) = static_cast<std::uint8_t>(first + i);
    return uuid;
}

[[nodiscard]] inline AuditRecord sample() {
    AuditRecord entry;
    entry.seq = 7;
    entry.node = uuid_of(0x10);
    entry.position = 4096;
    entry.kind = "use";
    entry.at = 725'760'000'123'456;
    entry.grant_id = 42;
    entry.grants = {{42, 43}};
    entry.login = "alice";
    entry.role = "jit_grant_42";
    entry.database = "postgres";
    entry.client_addr = "::1/128";
    entry.application = "psql";
    entry.pid = 4711;
    entry.session_start = 725'759'999'000'000;
    entry.depth = 0;
    entry.tag = "SELECT";
    entry.statement = "SELECT 'Zürich'\n";
    entry.statement_bytes = 17;
    entry.statement_sha256 = "5c";
    entry.parameters = "$1 = 'x'";
    entry.objects = {{"app.orders", "app.\"a,b\""}};
    entry.privileges = {{"SELECT", "SELECT,UPDATE"}};
    entry.standing_privileges = {{"", "SELECT"}};
    entry.outcome = "completed";
    entry.rows = 3;
    entry.duration = Span{.microseconds = 1500, .days = -1, .months = 2};
    entry.sqlstate = "00000";
    entry.detail = R"({"reason": "x"})";
    entry.of_position = -1;
    return entry;
}

[[nodiscard]] inline Buffer bytes_of(const AuditRecord& entry) {
    Buffer bytes;
    canonical_bytes(entry, bytes);
    return {bytes.begin(), bytes.end()};  // exactly as large, so that the sanitizer sees a byte too many
}

}  // namespace sample_record
