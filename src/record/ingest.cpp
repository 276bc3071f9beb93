#include "jit_access/record/ingest.hpp"

#include <algorithm>
#include <atomic>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/record/chain.hpp"
#include "jit_access/record/journal_file.hpp"
#include "jit_access/record/metrics.hpp"
#include "jit_access/record/notification.hpp"
#include "jit_access/record/source_batch.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::ingest {

namespace {

using core::AuditRecord;
using core::ColumnInfo;
using pg::Value;

// A batch of this size takes some tenths of a second. The worker checks deadlines between two batches.
constexpr std::size_t batch_size = 8'000;

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

// A row of jit_access.journal(): the columns that it shows, with next_position after the position.
std::vector<Value> journal_row(const AuditRecord& record, std::uint64_t next_position) {
    std::vector<Value> row;
    core::for_each_column(record, [&](const ColumnInfo& column, const auto& value) {
        if (!column.is_shown_in(core::Shown::journal)) return;
        ToValues{row}(column, value);
        if (column.name == "position") row.emplace_back(static_cast<std::int64_t>(next_position));
    });
    return row;
}

}  // namespace

void read(std::optional<std::uint64_t> from, std::size_t max_records,
          const std::function<void(std::span<const Value>)>& emit) {
    if (!journal::available())
        throw core::Failure(core::Code::journal_failed, "the journal of uses cannot be read", journal::fault(),
                            "Repair jit_access.journal_directory and restart the server.");
    SourceBatch batch;
    const auto& ring = journal::ring();
    add_journal_records(ring.resume(std::max(from.value_or(0), ring.tail())), max_records, batch);
    for (const auto& item : batch.items) {
        const auto row = journal_row(to_record(item, batch), item.next_position);
        // Only unread records are protected from writers. If the tail has moved past this record, its memory may have
        // been overwritten while the row was built. In that case the record is already in the table. The fence orders
        // the reads of the memory before the read of the tail.
        std::atomic_thread_fence(std::memory_order_acquire);
        if (journal::ring().tail() <= item.journal_record.position) emit(row);
    }
}

namespace {

constexpr const char* take_events = R"sql(
    WITH taken AS (
        DELETE FROM jit_access.event
        RETURNING ctid AS place, at, kind, request_id, actor, detail
    )
    SELECT at, kind, request_id, actor, detail::text,
           CASE kind WHEN 'alert raised' THEN
               (jsonb_build_object('grant', request_id) || detail)::text
           END,
           CASE kind WHEN 'alert raised' THEN
               pg_catalog.format('{"id":%s,"state":%s,"alert":%s}',
                                 coalesce(request_id::text, 'null'),
                                 coalesce(to_json(detail ->> 'state')::text, 'null'),
                                 to_json(detail ->> 'rule'))
           END
    FROM taken
    ORDER BY at, place
)sql";

// The effects of a control event besides its record: a line in the server log, a notification.
void add_messages(const pg::Row& event, Batch& result) {
    if (auto alert = event.maybe<std::string>(5)) result.alerts.push_back(std::move(*alert));
    auto notice = event.maybe<std::string>(6);
    if (!notice) notice = notification::of_event(event.get<std::string>(1), event.maybe<std::int64_t>(2));
    if (notice) result.notices.push_back(std::move(*notice));
}

void take_control_events(SourceBatch& batch, Batch& result) {
    for (const auto& row : pg::query(take_events)) {
        add_messages(row, result);
        AuditRecord& record = batch.events.emplace_back();
        record.node = batch.node;
        record.at = row.get<pg::Instant>(0).us;
        record.kind = batch.texts.emplace_back(row.get<std::string>(1));
        record.grant_id = row.maybe<std::int64_t>(2);
        record.login = batch.texts.emplace_back(row.get<std::string>(3));
        record.detail = batch.texts.emplace_back(row.get<std::string>(4));
        record.outcome = "completed";
        batch.items.push_back({.at = record.at, .event = &record});
    }
}

std::uint64_t position_in_table() {
    const auto row =
        pg::query_row("SELECT position FROM jit_access.journal_position WHERE node = $1::uuid", {journal::node()});
    return row ? static_cast<std::uint64_t>(row->get<std::int64_t>(0)) : 0;
}

void store_position(std::uint64_t position) {
    pg::execute(R"sql(
        INSERT INTO jit_access.journal_position (node, position)
        VALUES ($1::uuid, $2)
        ON CONFLICT (node) DO UPDATE SET position = excluded.position
    )sql",
                {journal::node(), static_cast<std::int64_t>(position)});
}

// Another server may have closed the use as interrupted in the meantime, see close_interrupted().
bool has_outcome_already(const AuditRecord& outcome) {
    return outcome.of_position &&
           static_cast<std::uint64_t>(*outcome.of_position) < shared_state->journal_head_at_start &&
           pg::query_row("SELECT 1 FROM jit_access.record WHERE node = $1::uuid AND of_position = $2",
                         {journal::node(), *outcome.of_position});
}

// Keeps the outcome on the record, but does not join it to the use, because the use already has an outcome.
void detach_from_use(AuditRecord& outcome, SourceBatch& batch) {
    set_detail(outcome, "\"of_position\": " + std::to_string(*outcome.of_position), batch);
    outcome.of_position.reset();
}

}  // namespace

Batch take_over() {
    Batch result;
    SourceBatch batch;
    take_control_events(batch, result);
    const auto event_count = batch.items.size();
    if (journal::available()) {
        const auto stored = position_in_table();
        const auto start = std::max(stored, journal::ring().tail());
        const auto next = journal::ring().resume(start);
        // The record that began here was lost in a power failure, and recovery has put a gap in its place. A gap record
        // from this position on documents the loss.
        if (next != start)
            batch.items.push_back(
                {.at = pg::wall_clock(), .next_position = next, .journal_record = {.position = start}});
        add_journal_records(next, batch_size, batch);
        const bool has_journal_records = batch.items.size() > event_count;
        if (has_journal_records) result.oldest = batch.items[event_count].at;
        result.position = has_journal_records ? batch.items.back().next_position : stored;
    }
    if (batch.items.empty()) return result;
    if (batch.items.size() > event_count) {
        result.more = result.position < journal::ring().head();
        store_position(result.position);
    }
    // Within one batch, the record has control events and uses in the order in which they happened. The sort is stable,
    // and usually there is nothing to sort.
    const auto is_earlier = [](const SourceItem& a, const SourceItem& b) { return a.at < b.at; };
    if (!std::is_sorted(batch.items.begin(), batch.items.end(), is_earlier))
        std::stable_sort(batch.items.begin(), batch.items.end(), is_earlier);
    // Each record is built, hashed, written and counted before the next one, so that it is still in the processor's
    // cache.
    chain::Appender appender;
    metrics::Counter counter;
    for (const auto& item : batch.items) {
        auto record = to_record(item, batch);
        if (has_outcome_already(record)) detach_from_use(record, batch);
        appender.add(record);
        counter.add(record);
        result.tally.add(record);
    }
    appender.finish();
    counter.store();
    return result;
}

std::uint64_t lost_bytes() {
    const auto position = position_in_table();
    return position - std::min(position, shared_state->journal_head_at_start);
}

void close_interrupted() {
    const auto open_uses = pg::query(R"sql(
        SELECT u.node::text, u.position
        FROM jit_access.record u
        WHERE u.kind = 'use' AND u.outcome IS NULL
          AND (u.node <> $1::uuid OR u.position < $2)
          AND NOT EXISTS (SELECT FROM jit_access.record o WHERE o.node = u.node AND o.of_position = u.position)
        ORDER BY u.seq
    )sql",
                                     {journal::node(), static_cast<std::int64_t>(shared_state->journal_head_at_start)});
    if (open_uses.empty()) return;
    chain::Appender appender;
    metrics::Counter counter;
    AuditRecord record;
    record.kind = "outcome";
    record.at = pg::wall_clock();
    record.outcome = "interrupted";
    for (const auto& row : open_uses) {
        record.node = core::uuid_from_text(row.get<std::string>(0)).value();
        record.of_position = row.get<std::int64_t>(1);
        appender.add(record);
        counter.add(record);
    }
    appender.finish();
    counter.store();
}

}  // namespace jit::ingest
