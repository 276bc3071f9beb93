// The table jit_access.record: rows written many at a time into its open partition, the way COPY does, and read back as
// what they were.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "jit_access/core/chain.hpp"

namespace jit::pg {

// Appends, in the transaction it is made in. What is not finished is lost with the transaction.
class RecordWriter {
public:
    RecordWriter();             // throws
    ~RecordWriter() = default;  // what the transaction holds it lets go of itself
    RecordWriter(const RecordWriter&) = delete;
    RecordWriter& operator=(const RecordWriter&) = delete;

    // The least number that the open partition takes.
    [[nodiscard]] std::int64_t first() const;
    void add(const core::AuditRecord& entry, const core::Digest& head);
    void finish();

private:
    struct State;
    State* state_;
};

// In order of their numbers, and as they are now, whatever snapshot the transaction has; texts are valid during the
// call. From nothing on: also what has a number that the record never gives. Where a row holds what the record never
// holds (a NULL, an array of another shape, a hash of another length), the head is all zeros, which fits nothing.
void read_record(std::optional<std::int64_t> from, std::int64_t to,
                 const std::function<void(const core::AuditRecord& entry, const core::Digest& head)>& visit);

// jsonb as the server writes it; throws for what is no JSON.
[[nodiscard]] std::string normal_json(const std::string& text);
// Text in the encoding of this database: what is not, is written as \xHH.
[[nodiscard]] bool is_valid_text(std::string_view text) noexcept;
[[nodiscard]] std::string escape_invalid(std::string_view text);

}  // namespace jit::pg
