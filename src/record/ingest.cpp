#include "jit_access/record/ingest.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <limits>
#include <unordered_map>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/digest.hpp"
#include "jit_access/pg/json.hpp"
#include "jit_access/pg/text_encoding.hpp"
#include "jit_access/record/chain.hpp"
#include "jit_access/record/journal.hpp"
#include "jit_access/record/metrics.hpp"
#include "jit_access/record/notification.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::ingest {

namespace {

using core::AuditRecord;
using core::ColumnInfo;
using core::RecordKind;
using pg::Value;

constexpr std::size_t batch_size = 8'000;  // tenths of a second: deadlines come between two batches

// What becomes one entry: a record of the journal, with its outcome when that is there as well, or a control event.
struct Taken {
    std::int64_t at;
    std::uint64_t next = 0;  // after this one and those before it, the journal goes on here
    core::JournalRecord record{};
    std::optional<core::Outcome> ending{};
    const AuditRecord* event = nullptr;
};

// And the texts that entries are made of and that are not in the journal.
struct Gathered {
    core::Uuid node = journal::node_id();
    std::vector<Taken> taken;
    std::deque<AuditRecord> events;
    std::deque<std::string> texts;
};

std::string privilege_names(std::uint32_t bits) {
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

// Few of the combinations occur, and the names of those that do are kept.
std::string_view name_of_privileges(std::uint32_t bits) {
    static std::unordered_map<std::uint32_t, std::string> known;
    const auto [name, is_new] = known.try_emplace(bits & core::privilege_bits);
    if (is_new) name->second = privilege_names(bits);
    return name->second;
}

std::string_view name_of(core::Ending ending) noexcept {
    switch (ending) {
        case core::Ending::completed: return "completed";
        case core::Ending::failed: return "failed";
        case core::Ending::interrupted: return "interrupted";
    }
    return "interrupted";
}

std::string_view name_of(RecordKind record_kind) noexcept {
    switch (record_kind) {
        case RecordKind::use: return "use";
        case RecordKind::outcome: return "outcome";
        case RecordKind::refusal: return "refusal";
        case RecordKind::gap: return "gap";
    }
    return "gap";
}

// Other databases have other encodings.
std::string_view valid(std::string_view text, Gathered& to) {
    if (pg::is_valid_text(text)) return text;
    return to.texts.emplace_back(pg::escape_invalid_text(text));
}

// Control characters become blanks before the text is quoted: a detail is read in terminals.
std::string quoted_json(std::string_view text) {
    std::string plain(text);
    std::replace_if(
        plain.begin(), plain.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
    return pg::quote_json(plain);
}

std::string reason_member(std::string_view reason, Gathered& to) {
    return "\"reason\": " + quoted_json(valid(reason, to));
}

void set_detail(AuditRecord& entry, const std::string& members, Gathered& to) {
    entry.detail = to.texts.emplace_back(pg::normalize_json("{" + members + "}"));
}

std::string detail_of(const core::DecodedUse& decoded, Gathered& to) {
    std::string members;
    // There was no room for all of them.
    if (decoded.use.object_count > decoded.objects.size())
        members = "\"objects\": " + std::to_string(decoded.use.object_count);
    if (!decoded.use.reason.empty()) members += (members.empty() ? "" : ", ") + reason_member(decoded.use.reason, to);
    return members;
}

void fill(AuditRecord& entry, const core::DecodedUse& decoded, Gathered& to) {
    const core::Use& use = decoded.use;
    if (use.grant != 0) entry.grant_id = static_cast<std::int64_t>(use.grant);
    entry.grants.emplace(decoded.grants.begin(), decoded.grants.end());
    entry.login = valid(use.login, to);
    entry.role = valid(use.role, to);
    entry.database = valid(use.database, to);
    if (!use.client.empty()) entry.client_addr = use.client;
    entry.application = valid(use.application, to);
    entry.pid = static_cast<std::int32_t>(use.pid);
    entry.session_start = use.session_start;
    entry.depth = static_cast<std::int32_t>(use.depth);
    entry.tag = use.tag;
    entry.statement = valid(use.statement, to);
    entry.statement_bytes = static_cast<std::int32_t>(use.statement_size);
    if (!use.statement_hash.empty()) entry.statement_sha256 = use.statement_hash;
    if (!use.parameters.empty()) entry.parameters = valid(use.parameters, to);
    auto& objects = entry.objects.emplace();
    auto& privileges = entry.privileges.emplace();
    auto& own = entry.standing_privileges.emplace();
    for (const auto& object : decoded.objects) {
        objects.push_back(valid(object.name, to));
        privileges.push_back(name_of_privileges(object.privileges));
        own.push_back(name_of_privileges(object.own));
    }
    if (const auto detail = detail_of(decoded, to); !detail.empty()) set_detail(entry, detail, to);
    if (use.reason.empty()) return;
    entry.outcome = "refused";
    entry.sqlstate = to.texts.emplace_back(use.sqlstate.data(), use.sqlstate.size());
}

void fill(AuditRecord& entry, const core::Outcome& ending, Gathered& to) {
    entry.outcome = name_of(ending.ending);
    entry.rows = static_cast<std::int64_t>(ending.rows);
    entry.duration = core::Span{.microseconds = ending.duration};
    constexpr std::string_view success = "00000";
    const std::string_view sqlstate{ending.sqlstate.data(), ending.sqlstate.size()};
    entry.sqlstate = sqlstate == success ? success : to.texts.emplace_back(sqlstate);
}

// What the journal holds from a record on. A use whose outcome is among it is one entry. The texts stay valid until the
// journal is marked as read.
void gather(std::uint64_t next, std::size_t most, Gathered& to) {
    const auto& ring = journal::ring();
    std::unordered_map<std::uint64_t, std::size_t> open;
    const auto end = ring.head();
    for (std::size_t count = 0; count < most; ++count) {
        const auto record = ring.read(next, end);
        if (!record) break;
        next = record->next;
        const auto ending = record->kind == RecordKind::outcome ? core::decode_outcome(record->payload) : std::nullopt;
        if (ending) {
            if (const auto use = open.find(ending->use_position); use != open.end()) {
                to.taken[use->second].ending = ending;
                open.erase(use);
                to.taken.back().next = next;
                continue;
            }
        }
        if (record->kind == RecordKind::use) open.emplace(record->position, to.taken.size());
        // Of what is missing only the time when it is found can be told.
        const auto at = record->at != 0 ? record->at : pg::wall_clock();
        to.taken.push_back({.at = at, .next = next, .record = *record, .ending = ending});
    }
}

AuditRecord entry_of(const Taken& taken, Gathered& in) {
    if (taken.event != nullptr) return *taken.event;
    const auto& record = taken.record;
    AuditRecord entry;
    entry.node = in.node;
    entry.position = static_cast<std::int64_t>(record.position);
    entry.kind = name_of(record.kind);
    entry.at = taken.at;
    const bool is_use = record.kind == RecordKind::use || record.kind == RecordKind::refusal;
    const auto use = is_use ? core::decode_use(record.payload) : std::nullopt;
    const bool is_outcome = record.kind == RecordKind::outcome && taken.ending;
    if (use) fill(entry, *use, in);
    if (taken.ending) fill(entry, *taken.ending, in);
    if (is_outcome) entry.of_position = static_cast<std::int64_t>(taken.ending->use_position);
    if (!use && !is_outcome && record.kind != RecordKind::gap)
        set_detail(entry, reason_member("unreadable record", in), in);  // a form this version does not know
    return entry;
}

// Visitor that appends the value of one column as jit_access.journal() returns it.
class ToValues {
public:
    explicit ToValues(std::vector<Value>& row) : row_(row) {}

    void operator()(const ColumnInfo& column, std::int64_t value) {
        if (column.type == core::SqlType::timestamptz)
            row_.emplace_back(pg::Instant{value});
        else
            row_.emplace_back(value);
    }
    void operator()(const ColumnInfo&, std::int32_t value) { row_.emplace_back(value); }
    void operator()(const ColumnInfo&, std::string_view value) { row_.emplace_back(std::string(value)); }
    void operator()(const ColumnInfo&, const core::Uuid& value) { row_.emplace_back(core::to_text(value)); }
    void operator()(const ColumnInfo&, const core::Span& value) { row_.emplace_back(value.microseconds); }
    void operator()(const ColumnInfo&, const std::vector<std::int64_t>& values) {
        std::string text;
        for (const auto value : values) text += (text.empty() ? "" : ",") + std::to_string(value);
        row_.emplace_back("{" + text + "}");
    }
    void operator()(const ColumnInfo&, const std::vector<std::string_view>& values) {
        row_.emplace_back(pg::TextArray(values.begin(), values.end()));
    }
    template <class T>
    void operator()(const ColumnInfo& column, const std::optional<T>& value) {
        if (value)
            (*this)(column, *value);
        else
            row_.emplace_back();
    }

private:
    std::vector<Value>& row_;
};

// The row of jit_access.journal(): the columns that it shows, and next_position behind the position.
std::vector<Value> journal_row(const AuditRecord& record, std::uint64_t next_position) {
    constexpr auto position_column = core::record_columns[core::column_index("position")].name;
    std::vector<Value> row;
    core::for_each_column(record, [&](const ColumnInfo& column, const auto& value) {
        if (!column.is_shown_in(core::Shown::journal)) return;
        ToValues{row}(column, value);
        if (column.name == position_column) row.emplace_back(static_cast<std::int64_t>(next_position));
    });
    return row;
}

}  // namespace

void read(std::optional<std::uint64_t> from, std::size_t most, const std::function<void(std::span<const Value>)>& put) {
    if (!journal::available())
        throw core::Failure(core::Code::journal_failed, "the journal of uses cannot be read", journal::fault(),
                            "Repair jit_access.journal_directory and restart the server.");
    Gathered batch;
    const auto& ring = journal::ring();
    gather(ring.resume(std::max(from.value_or(0), ring.tail())), most, batch);
    for (const auto& taken : batch.taken) {
        const auto row = journal_row(entry_of(taken, batch), taken.next);
        // Only the worker keeps it from being written over: what has been taken over meanwhile is in the table.
        std::atomic_thread_fence(std::memory_order_acquire);
        if (journal::ring().tail() <= taken.record.position) put(row);
    }
}

namespace {

// What is told of a control event beside the record.
void announce(const pg::Row& event, Batch& in) {
    if (auto alert = event.maybe<std::string>(5)) in.alerts.push_back(std::move(*alert));
    auto notice = event.maybe<std::string>(6);
    if (!notice) notice = notification::of_event(event.get<std::string>(1), event.maybe<std::int64_t>(2));
    if (notice) in.notices.push_back(std::move(*notice));
}

// Control events, with the texts that the rows of the query hold.
void gather_events(Gathered& to, Batch& result) {
    for (const auto& row :
         pg::query("WITH taken AS (DELETE FROM jit_access.event RETURNING id, at, kind, request_id, actor, detail) "
                   "SELECT at, kind, request_id, actor, detail::text, CASE kind WHEN 'alert raised' THEN "
                   "(jsonb_build_object('grant', request_id) || detail)::text END, CASE kind WHEN 'alert raised' THEN "
                   "pg_catalog.format('{\"id\":%s,\"state\":%s,\"alert\":%s}', coalesce(request_id::text, 'null'), "
                   "coalesce(to_json(detail ->> 'state')::text, 'null'), to_json(detail ->> 'rule')) END FROM taken "
                   "ORDER BY at, id")) {
        announce(row, result);
        AuditRecord& entry = to.events.emplace_back();
        entry.node = to.node;
        entry.at = row.get<pg::Instant>(0).us;
        entry.kind = to.texts.emplace_back(row.get<std::string>(1));
        entry.grant_id = row.maybe<std::int64_t>(2);
        entry.login = to.texts.emplace_back(row.get<std::string>(3));
        entry.detail = to.texts.emplace_back(row.get<std::string>(4));
        entry.outcome = "completed";
        to.taken.push_back({.at = entry.at, .event = &entry});
    }
}

std::uint64_t position_reached() {
    const auto known =
        pg::query_row("SELECT position FROM jit_access.journal_position WHERE node = $1::uuid", {journal::node()});
    return known ? static_cast<std::uint64_t>(known->get<std::int64_t>(0)) : 0;
}

// Another server may have closed its use meanwhile, as interrupted (see close_interrupted).
bool is_closed_already(const AuditRecord& outcome) {
    return outcome.of_position &&
           static_cast<std::uint64_t>(*outcome.of_position) < shared_state->journal_head_at_start &&
           pg::query_row("SELECT 1 FROM jit_access.record WHERE node = $1::uuid AND of_position = $2",
                         {journal::node(), *outcome.of_position});
}

// It is on the record, and nobody's outcome.
void set_apart(AuditRecord& outcome, Gathered& to) {
    set_detail(outcome, "\"of_position\": " + std::to_string(*outcome.of_position), to);
    outcome.of_position.reset();
}

}  // namespace

Batch take_over() {
    Batch result;
    Gathered batch;
    gather_events(batch, result);
    const auto events = batch.taken.size();
    if (journal::available()) {
        const auto reached = position_reached();
        const auto start = std::max(reached, journal::ring().tail());
        const auto next = journal::ring().resume(start);
        // A power failure has taken the record that began here: what is missing is on the record.
        if (next != start) batch.taken.push_back({.at = pg::wall_clock(), .next = next, .record = {.position = start}});
        gather(next, batch_size, batch);
        const bool any = batch.taken.size() > events;
        if (any) result.oldest = batch.taken[events].at;
        result.position = any ? batch.taken.back().next : reached;
    }
    if (batch.taken.empty()) return result;
    if (batch.taken.size() > events) {
        result.more = result.position < journal::ring().head();
        pg::execute(
            "INSERT INTO jit_access.journal_position (node, position) VALUES ($1::uuid, $2) "
            "ON CONFLICT (node) DO UPDATE SET position = excluded.position",
            {journal::node(), static_cast<std::int64_t>(result.position)});
    }
    // Control events and uses stand in the record in the order in which they happened, as far as one batch sees them.
    const auto earlier = [](const Taken& a, const Taken& b) { return a.at < b.at; };
    if (!std::is_sorted(batch.taken.begin(), batch.taken.end(), earlier))
        std::stable_sort(batch.taken.begin(), batch.taken.end(), earlier);
    // One after the other, so that what is at hand is always the same little memory.
    chain::Appender record;
    metrics::Counter counter;
    for (const auto& taken : batch.taken) {
        auto entry = entry_of(taken, batch);
        if (is_closed_already(entry)) set_apart(entry, batch);
        record.add(entry);
        counter.add(entry);
        result.tally.add(entry);
    }
    record.finish();
    counter.keep();
    return result;
}

std::uint64_t lost_bytes() {
    const auto read = position_reached();
    return read - std::min(read, shared_state->journal_head_at_start);
}

void close_interrupted() {
    const auto left = pg::query(
        "SELECT u.node::text, u.position FROM jit_access.record u WHERE u.kind = 'use' AND u.outcome IS NULL AND "
        "(u.node <> $1::uuid OR u.position < $2) AND NOT EXISTS (SELECT FROM jit_access.record o WHERE o.node = u.node "
        "AND o.of_position = u.position) ORDER BY u.seq",
        {journal::node(), static_cast<std::int64_t>(shared_state->journal_head_at_start)});
    if (left.empty()) return;
    chain::Appender record;
    metrics::Counter counter;
    AuditRecord entry;
    entry.kind = "outcome";
    entry.at = pg::wall_clock();
    entry.outcome = "interrupted";
    for (const auto& row : left) {
        entry.node = core::uuid_from_text(row.get<std::string>(0)).value();
        entry.of_position = row.get<std::int64_t>(1);
        record.add(entry);
        counter.add(entry);
    }
    record.finish();
    counter.keep();
}

}  // namespace jit::ingest
