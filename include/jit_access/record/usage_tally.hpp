// Sums up uses as they are written to the record, so that the alert rules need not read them again.
//
// Nearly all records are uses, which are summed by grant and session. For every other record only the sequence number
// is kept, and the rules read the record later.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jit_access/core/audit_record.hpp"

namespace jit {

// The uses of one session under one grant.
struct SessionUsage {
    std::int64_t grant = 0;
    std::int64_t first = 0;  // sequence numbers
    std::int64_t last = 0;
    std::int64_t at = 0;    // of the last use
    std::int64_t rows = 0;  // of statements that the client sent
    std::string login;
    std::optional<std::string> client;
};

class UsageTally {
public:
    // Records come in the order of their sequence numbers.
    void add(const core::AuditRecord& record);

    std::int64_t from = 0;  // sequence number before the first record
    std::int64_t to = 0;
    std::int64_t at = 0;  // of the newest record
    std::vector<SessionUsage> used;
    std::vector<std::int64_t> outcomes;
    std::vector<std::int64_t> others;

private:
    std::map<std::pair<std::int64_t, std::int32_t>, std::size_t> places_;  // by grant and process
};

}  // namespace jit
