// The record as a hash chain: appending to it, dating it by checkpoints, proving that nothing was changed.
//
// core/chain.hpp says what is hashed. Checkpoints are kept in the table jit_access.checkpoint and, as anchors, in a
// file outside of the database and in the server log: cutting the record, rewriting it with new hashes, restoring an
// older copy or making the extension anew leaves an anchor that does not fit.
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

// Numbers, hashes and writes rows at the end of the record, in a transaction of the worker; or of a job that drops the
// oldest part and holds the record locked until it commits. What is not finished is lost with the transaction.
class Appender {
public:
    Appender();  // throws
    void add(core::AuditRecord& entry);
    void finish();

private:
    pg::ServerHasher hasher_;
    pg::RecordWriter writer_;
    core::Digest head_{};
    std::int64_t seq_ = 0;
    std::vector<std::byte> bytes_;
};

// A checkpoint of the record as it is, in the table, the file and the server log. Answers its number; nothing when
// there is no record since the last one.
std::optional<std::int64_t> checkpoint();
// The worker's: when the last one is older than jit_access.checkpoint_interval.
void checkpoint_if_due();

// Puts on the record that these were dropped, in the transaction that drops them. Throws when the last of them is not
// the one of a checkpoint.
void note_dropped(std::int64_t first, std::int64_t last);

struct Verification {
    bool sound = true;
    std::int64_t records = 0;
    std::int64_t first = 0;  // asked for, or the first behind what was dropped
    std::int64_t last = 0;
    std::int64_t checkpoints = 0;  // that were met and agree
    core::Digest head{};
    std::vector<core::Finding> findings;
};
// From a record on (nothing: the first) up to another (nothing: to the end, which anchors must not know to be further).
[[nodiscard]] Verification verify(std::optional<std::int64_t> from, std::optional<std::int64_t> to);

// Lines for the program jit-verify.
void write_out(std::optional<std::int64_t> from, std::optional<std::int64_t> to,
               const std::function<void(std::optional<std::int64_t> seq, const std::string& line)>& put);

}  // namespace jit::chain
