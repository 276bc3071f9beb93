// Counting for jit_access.metrics as the record is written: what is counted once is never looked for among ten million
// rows.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "jit_access/core/audit_record.hpp"

namespace jit::metrics {

// Kinds, outcomes and codes are views of what outlives it.
class Counter {
public:
    void add(const core::AuditRecord& entry);
    // In the transaction that writes what was counted. A fault is logged and leaves the record alone.
    void keep() const;

private:
    struct Count {
        std::string_view name;
        std::string_view label;
        std::int64_t number;
    };
    void count(std::string_view name, std::string_view label);
    void keep_counts() const;
    void keep_durations() const;

    std::vector<Count> counts_;
    std::vector<std::int64_t> activated_;
    struct CleanedUp {
        std::int64_t grant;
        std::int64_t at;
    };
    std::vector<CleanedUp> cleaned_up_;
};

}  // namespace jit::metrics
