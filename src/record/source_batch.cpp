#include "jit_access/record/source_batch.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/json.hpp"
#include "jit_access/pg/text_encoding.hpp"

namespace jit::ingest {

namespace {

using core::AuditRecord;
using core::JournalRecord;
using core::RecordKind;

std::string join_privilege_names(std::uint32_t bits) {
    constexpr std::pair<std::uint32_t, const char*> names[] = {
        {core::privilege_select, "SELECT"},     {core::privilege_insert, "INSERT"},
        {core::privilege_update, "UPDATE"},     {core::privilege_delete, "DELETE"},
        {core::privilege_truncate, "TRUNCATE"}, {core::privilege_references, "REFERENCES"},
        {core::privilege_trigger, "TRIGGER"},   {core::privilege_usage, "USAGE"},
        {core::privilege_execute, "EXECUTE"},   {core::privilege_create, "CREATE"},
        {core::privilege_owner, "OWNER"},       {core::privilege_maintain, "MAINTAIN"},
        {core::privilege_lock, "LOCK"}};
    std::string list;
    for (const auto& [bit, name] : names)
        if ((bits & bit) != 0) list += (list.empty() ? "" : ",") + std::string(name);
    return list;
}

// Few combinations of privileges occur, so the texts are cached for the life of the process. The mask limits the size
// of the cache.
std::string_view privilege_names(std::uint32_t bits) {
    static std::unordered_map<std::uint32_t, std::string> cache;
    const auto [entry, is_new] = cache.try_emplace(bits & core::privilege_bits);
    if (is_new) entry->second = join_privilege_names(bits);
    return entry->second;
}

std::string_view name_of(core::Ending ending) noexcept {
    switch (ending) {
        case core::Ending::completed: return "completed";
        case core::Ending::failed: return "failed";
        case core::Ending::interrupted: return "interrupted";
    }
    return "interrupted";
}

std::string_view name_of(RecordKind kind) noexcept {
    switch (kind) {
        case RecordKind::use: return "use";
        case RecordKind::outcome: return "outcome";
        case RecordKind::refusal: return "refusal";
        case RecordKind::gap: return "gap";
    }
    return "gap";
}

// The text in the encoding of this database. Sessions of other databases write text in the encodings of those databases
// to the same journal.
std::string_view valid_text(std::string_view text, SourceBatch& batch) {
    if (pg::is_valid_text(text)) return text;
    return batch.texts.emplace_back(pg::escape_invalid_text(text));
}

// Control characters become blanks, because a detail is read in terminals.
std::string quoted_reason(std::string_view reason) {
    std::string text(reason);
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20; };
    std::replace_if(text.begin(), text.end(), is_control, ' ');
    return pg::quote_json(text);
}

std::string reason_member(std::string_view reason, SourceBatch& batch) {
    return "\"reason\": " + quoted_reason(valid_text(reason, batch));
}

std::string detail_members(const core::DecodedUse& decoded, SourceBatch& batch) {
    std::string members;
    // If the journal record had no room for all objects, the detail says how many there were.
    if (decoded.use.object_count > decoded.objects.size())
        members = "\"objects\": " + std::to_string(decoded.use.object_count);
    if (!decoded.use.reason.empty())
        members += (members.empty() ? "" : ", ") + reason_member(decoded.use.reason, batch);
    return members;
}

void fill_use(AuditRecord& record, const core::DecodedUse& decoded, SourceBatch& batch) {
    const core::Use& use = decoded.use;
    if (use.grant != 0) record.grant_id = static_cast<std::int64_t>(use.grant);
    record.grants.emplace(decoded.grants.begin(), decoded.grants.end());
    record.login = valid_text(use.login, batch);
    record.role = valid_text(use.role, batch);
    record.database = valid_text(use.database, batch);
    if (!use.client.empty()) record.client_addr = use.client;
    record.application = valid_text(use.application, batch);
    record.pid = static_cast<std::int32_t>(use.pid);
    record.session_start = use.session_start;
    record.depth = static_cast<std::int32_t>(use.depth);
    record.tag = use.tag;
    record.statement = valid_text(use.statement, batch);
    record.statement_bytes = static_cast<std::int32_t>(use.statement_size);
    if (!use.statement_hash.empty()) record.statement_sha256 = use.statement_hash;
    if (!use.parameters.empty()) record.parameters = valid_text(use.parameters, batch);
    auto& objects = record.objects.emplace();
    auto& privileges = record.privileges.emplace();
    auto& standing_privileges = record.standing_privileges.emplace();
    for (const auto& object : decoded.objects) {
        objects.push_back(valid_text(object.name, batch));
        privileges.push_back(privilege_names(object.privileges));
        standing_privileges.push_back(privilege_names(object.own));
    }
    if (const auto members = detail_members(decoded, batch); !members.empty()) set_detail(record, members, batch);
    if (use.reason.empty()) return;
    record.outcome = "refused";
    record.sqlstate = batch.texts.emplace_back(use.sqlstate.data(), use.sqlstate.size());
}

void fill_outcome(AuditRecord& record, const core::Outcome& outcome, SourceBatch& batch) {
    record.outcome = name_of(outcome.ending);
    record.rows = static_cast<std::int64_t>(outcome.rows);
    record.duration = core::Span{.microseconds = outcome.duration};
    // Nearly every statement succeeds, and its code needs no copy.
    constexpr std::string_view success = "00000";
    const std::string_view sqlstate{outcome.sqlstate.data(), outcome.sqlstate.size()};
    record.sqlstate = sqlstate == success ? success : batch.texts.emplace_back(sqlstate);
}

}  // namespace

void set_detail(AuditRecord& record, const std::string& members, SourceBatch& batch) {
    record.detail = batch.texts.emplace_back(pg::normalize_json("{" + members + "}"));
}

void add_journal_records(std::uint64_t position, std::size_t max_records, SourceBatch& batch) {
    const auto& ring = journal::ring();
    std::unordered_map<std::uint64_t, std::size_t> open_uses;  // position of the use → index of its item
    const auto end = ring.head();
    for (std::size_t count = 0; count < max_records; ++count) {
        const auto journal_record = ring.read(position, end);
        if (!journal_record) break;
        position = journal_record->next;
        const auto outcome =
            journal_record->kind == RecordKind::outcome ? core::decode_outcome(journal_record->payload) : std::nullopt;
        if (outcome) {
            if (const auto use = open_uses.find(outcome->use_position); use != open_uses.end()) {
                batch.items[use->second].outcome = outcome;
                open_uses.erase(use);
                // The outcome needs no item of its own; a reader that stops after the last item must not read it again.
                batch.items.back().next_position = position;
                continue;
            }
        }
        if (journal_record->kind == RecordKind::use) open_uses.emplace(journal_record->position, batch.items.size());
        // A gap has no time of its own, so it gets the time at which it is found.
        const auto at = journal_record->at != 0 ? journal_record->at : pg::wall_clock();
        batch.items.push_back(
            {.at = at, .next_position = position, .journal_record = *journal_record, .outcome = outcome});
    }
}

AuditRecord to_record(const SourceItem& item, SourceBatch& batch) {
    if (item.event != nullptr) return *item.event;
    const JournalRecord& journal_record = item.journal_record;
    AuditRecord record;
    record.node = batch.node;
    record.position = static_cast<std::int64_t>(journal_record.position);
    record.kind = name_of(journal_record.kind);
    record.at = item.at;
    const bool has_use = journal_record.kind == RecordKind::use || journal_record.kind == RecordKind::refusal;
    const auto use = has_use ? core::decode_use(journal_record.payload) : std::nullopt;
    const bool is_outcome = journal_record.kind == RecordKind::outcome && item.outcome;
    if (use) fill_use(record, *use, batch);
    if (item.outcome) fill_outcome(record, *item.outcome, batch);
    if (is_outcome) record.of_position = static_cast<std::int64_t>(item.outcome->use_position);
    // The checksum is right, so another version of jit_access has written the record.
    if (!use && !is_outcome && journal_record.kind != RecordKind::gap)
        set_detail(record, reason_member("unreadable record", batch), batch);
    return record;
}

}  // namespace jit::ingest
