// The table jit_access.record: rows are written many at a time into its open partition, the way COPY does, and read
// back exactly as they are stored.
//
// Both directions first check that the table has the columns of core::record_columns and the hash, in that order and of
// those types. A column that was altered by hand therefore causes an error and not a wild pointer. All functions need a
// transaction and may throw.
#pragma once

#include <functional>
#include <optional>

#include "jit_access/core/chain.hpp"

namespace jit::pg {

// Appends to the record in the current transaction. Rows are buffered; without finish(), those that are still buffered
// at the end of the transaction are lost. The destructor releases nothing, because the end of the transaction releases
// everything that the writer holds.
class RecordWriter {
public:
    RecordWriter();
    ~RecordWriter() = default;
    RecordWriter(const RecordWriter&) = delete;
    RecordWriter& operator=(const RecordWriter&) = delete;

    // The lowest sequence number that the open partition accepts.
    [[nodiscard]] std::int64_t first_seq() const;
    void add(const core::AuditRecord& record, const core::Digest& head);
    // Writes the rows that are still buffered. Nothing may be added afterwards.
    void finish();

private:
    struct State;
    State* state_;
};

// Visits the rows with sequence numbers from `from` to `to` in their order, as they are now, regardless of the snapshot
// of the transaction. The texts of a row are valid only during the call of `visit`. Without `from`, rows with numbers
// that the record never assigns (below 1) are visited as well.
//
// If a row holds a value that the record never holds (a NULL in a NOT NULL column, an array of another shape, a hash of
// another length), its head is given as all zeros, which matches no record.
void read_record(std::optional<std::int64_t> from, std::int64_t to,
                 const std::function<void(const core::AuditRecord& record, const core::Digest& head)>& visit);

}  // namespace jit::pg
