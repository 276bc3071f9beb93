// The record as a hash chain in the database: appending to it, making checkpoints, verifying and exporting it.
//
// core/chain.hpp defines the hashes. A checkpoint is stored in the table jit_access.checkpoint and, as an anchor, in a
// file outside of the database and in the server log. Truncating the record, rewriting it with new hashes, restoring an
// older copy or creating the extension again leaves an anchor that does not match.
//
// All functions need a transaction and may throw.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "jit_access/core/chain.hpp"
#include "jit_access/pg/digest.hpp"
#include "jit_access/pg/record_table.hpp"

namespace jit::chain {

// Numbers, hashes and writes rows at the end of the record. There must be only one appender at a time in the cluster:
// that of the worker, or that of the job that drops the oldest partition and holds the record locked until it commits.
// finish() must be called at the end: rows that are still buffered would be lost.
class Appender {
public:
    Appender();
    // Sets the sequence number of the record.
    void add(core::AuditRecord& record);
    void finish();

private:
    pg::ServerHasher hasher_;
    pg::RecordWriter writer_;
    core::Digest head_{};
    std::int64_t seq_ = 0;
    std::vector<std::byte> bytes_;
};

// Makes a checkpoint of the last record in the table, the anchor file and the server log. Returns the number of that
// record; nothing if it already has a checkpoint or the record is empty.
std::optional<std::int64_t> checkpoint();
// For the worker: the same, if the last checkpoint is older than jit_access.checkpoint_interval.
void checkpoint_if_due();

// Appends the record that states that records `first` to `last` are dropped, in the transaction that drops them. Throws
// unless the last of them matches its checkpoint, because the new record would otherwise state a head that the chain
// never had.
void record_dropped(std::int64_t first, std::int64_t last);

struct Verification {
    core::Verdict verdict = core::Verdict::self_consistent;
    std::int64_t records = 0;
    std::int64_t first = 0;  // of the range, or the first one that was not dropped
    std::int64_t last = 0;
    std::int64_t checkpoints = 0;  // that match the record
    std::int64_t anchored = 0;     // last record that an anchor confirms; 0 = none
    core::Digest head{};
    std::vector<core::Finding> findings;

    [[nodiscard]] bool is_broken() const { return verdict == core::Verdict::broken; }
};
// For a boolean column: true = sound, false = broken, nothing = self-consistent.
[[nodiscard]] std::optional<bool> is_sound(const Verification& verification);
// Verifies the records `from` (nothing: the first) to `to`. Without `to` the range ends with the last record, and an
// anchor with a later number proves that the record was truncated.
[[nodiscard]] Verification verify(std::optional<std::int64_t> from, std::optional<std::int64_t> to);

// Emits the same range as lines for the program jit-verify; `seq` is the number of the record in the line, if any.
void export_lines(std::optional<std::int64_t> from, std::optional<std::int64_t> to,
                  const std::function<void(std::optional<std::int64_t> seq, const std::string& line)>& emit);

}  // namespace jit::chain
