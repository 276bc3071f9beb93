#include "jit_access/record/usage_tally.hpp"

#include <algorithm>

namespace jit {

void UsageTally::add(const core::AuditRecord& record) {
    constexpr std::int64_t max_rows = 1'000'000'000'000'000'000;
    if (to == 0) from = record.seq - 1;
    to = record.seq;
    at = std::max(at, record.at);
    if (record.kind != "use") {
        (record.kind == "outcome" ? outcomes : others).push_back(record.seq);
        return;
    }
    if (!record.grant_id) return;
    const auto [place, is_new] = places_.try_emplace({*record.grant_id, record.pid.value_or(0)}, used.size());
    if (is_new) {
        used.push_back({.grant = *record.grant_id,
                        .first = record.seq,
                        .login = std::string(record.login.value_or("")),
                        .client = record.client_addr ? std::optional<std::string>(*record.client_addr) : std::nullopt});
    }
    SessionUsage& session = used[place->second];
    session.last = record.seq;
    session.at = std::max(session.at, record.at);
    if (record.depth.value_or(0) == 0) session.rows += std::min(record.rows.value_or(0), max_rows - session.rows);
}

}  // namespace jit
