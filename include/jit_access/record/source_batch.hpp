// A batch of input to the record: control events, and journal records, with each use joined to its outcome if the batch
// holds both. Internal to this room; ingest.hpp is the entry.
//
// The records of a batch hold views of the journal's memory and of the texts below. The views stay valid until the
// journal is marked as read up to the record, or the batch is destroyed.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "jit_access/core/audit_record.hpp"
#include "jit_access/core/ring_buffer.hpp"
#include "jit_access/record/journal_file.hpp"

namespace jit::ingest {

// The source of one row of the record.
struct SourceItem {
    std::int64_t at;
    std::uint64_t next_position = 0;  // the journal continues here after this item and all before it
    core::JournalRecord journal_record{};
    std::optional<core::Outcome> outcome{};
    const core::AuditRecord* event = nullptr;  // a control event; if set, there is no journal record
};

// Deques, because the records point to their elements while more are added.
struct SourceBatch {
    core::Uuid node = journal::node_id();
    std::vector<SourceItem> items;
    std::deque<core::AuditRecord> events;
    std::deque<std::string> texts;  // texts that the journal holds in another form than the record needs
};

// Adds up to `max_records` published journal records from a position on.
void add_journal_records(std::uint64_t position, std::size_t max_records, SourceBatch& batch);

// The row of the record, without its sequence number.
[[nodiscard]] core::AuditRecord to_record(const SourceItem& item, SourceBatch& batch);

// Sets the detail column to an object of these members, which are JSON text.
void set_detail(core::AuditRecord& record, const std::string& members, SourceBatch& batch);

}  // namespace jit::ingest
