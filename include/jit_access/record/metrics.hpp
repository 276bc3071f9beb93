// Counts records for jit_access.metrics while they are written, so that a scrape never scans the record.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "jit_access/core/audit_record.hpp"

namespace jit::metrics {

// Counts the records of one batch. Keeps views of the kinds, outcomes and SQLSTATEs of the records, so these texts must
// outlive the counter.
class Counter {
public:
    void add(const core::AuditRecord& record);
    // Adds the counts to the tables in the transaction that writes the records. An error rolls back only the counts and
    // is logged once, because the record must not depend on its statistics.
    void store() const;

private:
    struct Count {
        std::string_view name;
        std::string_view label;
        std::int64_t number;
    };
    struct CleanedUp {
        std::int64_t grant;
        std::int64_t at;
    };
    void increment(std::string_view name, std::string_view label);
    void store_counts() const;
    void store_durations() const;

    std::vector<Count> counts_;
    std::vector<std::int64_t> activated_;
    std::vector<CleanedUp> cleaned_up_;
};

}  // namespace jit::metrics
