#include "jit_access/ingest.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "jit_access/board.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/journal.hpp"

namespace jit::ingest {

namespace {

using core::Kind;
using pg::Value;

constexpr std::size_t batch_size = 4'000;  // tenths of a second: deadlines come between two batches

// The columns of jit_access.journal(), in order.
enum Column : std::size_t {
    node,
    position,
    next_position,
    kind,
    at,
    grant_id,
    grants,
    login,
    role,
    database,
    client_addr,
    application,
    pid,
    session_start,
    depth,
    tag,
    statement,
    statement_bytes,
    objects,
    privileges,
    outcome,
    rows,
    duration,
    sqlstate,
    detail,
    of_position,
    column_count
};

using JournalRow = std::array<Value, column_count>;

Value text(std::string_view value) { return std::string(value); }
Value text_or_null(std::string_view value) { return value.empty() ? Value() : text(value); }
Value number(std::uint64_t value) { return static_cast<std::int64_t>(value); }

std::string privilege_names(std::uint32_t bits) {
    constexpr std::pair<std::uint32_t, const char*> names[] = {{core::privilege_select, "SELECT"},
                                                               {core::privilege_insert, "INSERT"},
                                                               {core::privilege_update, "UPDATE"},
                                                               {core::privilege_delete, "DELETE"}};
    std::string list;
    for (const auto& [bit, name] : names)
        if ((bits & bit) != 0) list += (list.empty() ? "" : ",") + std::string(name);
    return list;
}

const char* name_of(core::Ending ending) noexcept {
    switch (ending) {
        case core::Ending::completed: return "completed";
        case core::Ending::failed: return "failed";
        case core::Ending::interrupted: return "interrupted";
    }
    return "interrupted";
}

const char* name_of(Kind record_kind) noexcept {
    switch (record_kind) {
        case Kind::use: return "use";
        case Kind::outcome: return "outcome";
        case Kind::refusal: return "refusal";
        case Kind::gap: return "gap";
    }
    return "gap";
}

// jsonb wants its text quoted.
std::string json_text(std::string_view value) {
    std::string quoted = "\"";
    for (const char c : value) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return quoted + '"';
}

void fill(JournalRow& row, const core::DecodedUse& decoded) {
    const core::Use& use = decoded.use;
    if (use.grant != 0) row[grant_id] = number(use.grant);
    std::string ids;
    for (const auto id : decoded.grants) ids += (ids.empty() ? "" : ",") + std::to_string(id);
    row[grants] = "{" + ids + "}";
    row[login] = text(use.login);
    row[role] = text(use.role);
    row[database] = text(use.database);
    row[client_addr] = text_or_null(use.client);
    row[application] = text(use.application);
    row[pid] = static_cast<std::int32_t>(use.pid);
    row[session_start] = pg::Instant{use.session_start};
    row[depth] = static_cast<std::int32_t>(use.depth);
    row[tag] = text(use.tag);
    row[statement] = text(use.statement);
    row[statement_bytes] = static_cast<std::int32_t>(use.statement_size);
    pg::TextArray names;
    pg::TextArray modes;
    for (const auto& object : decoded.objects) {
        names.emplace_back(object.name);
        modes.push_back(privilege_names(object.privileges));
    }
    row[objects] = std::move(names);
    row[privileges] = std::move(modes);
    if (!use.reason.empty()) {
        row[outcome] = text("refused");
        row[sqlstate] = text({use.sqlstate.data(), use.sqlstate.size()});
        row[detail] = "{\"reason\": " + json_text(use.reason) + "}";
    }
}

void fill(JournalRow& row, const core::Outcome& ending) {
    row[outcome] = text(name_of(ending.ending));
    row[rows] = number(ending.rows);
    row[duration] = ending.duration;
    row[sqlstate] = text({ending.sqlstate.data(), ending.sqlstate.size()});
}

JournalRow start_row(const core::Record& record) {
    JournalRow row;
    row[node] = journal::node();
    row[position] = number(record.position);
    row[next_position] = number(record.next);
    row[kind] = text(name_of(record.kind));
    row[at] = pg::Instant{record.at};
    return row;
}

// A record of a form this version does not know stands in the record as what it is.
void fill_unreadable(JournalRow& row) { row[detail] = std::string("{\"reason\": \"unreadable record\"}"); }

}  // namespace

void read(std::optional<std::uint64_t> from, std::size_t most, const std::function<void(std::span<const Value>)>& put) {
    if (!journal::available())
        throw core::Failure(core::Code::journal_failed, "the journal of uses cannot be read", journal::fault(),
                            "Mend jit_access.journal_directory and restart the server.");
    const auto& ring = journal::ring();
    std::vector<JournalRow> batch;
    std::unordered_map<std::uint64_t, std::size_t> open;
    auto next = std::max(from.value_or(0), ring.tail());
    for (std::size_t count = 0; count < most; ++count) {
        const auto record = ring.read(next);
        if (!record) break;
        next = record->next;
        JournalRow row = start_row(*record);
        if (record->kind == Kind::outcome) {
            const auto ending = core::decode_outcome(record->payload);
            if (ending) {
                if (const auto use = open.find(ending->use_position); use != open.end()) {
                    fill(batch[use->second], *ending);
                    open.erase(use);
                    // The reader has to come past this record as well.
                    batch.back()[next_position] = number(next);
                    continue;
                }
                row[of_position] = number(ending->use_position);
                fill(row, *ending);
            } else {
                fill_unreadable(row);
            }
        } else if (record->kind == Kind::use || record->kind == Kind::refusal) {
            if (const auto use = core::decode_use(record->payload))
                fill(row, *use);
            else
                fill_unreadable(row);
            if (record->kind == Kind::use) open.emplace(record->position, batch.size());
        }
        batch.push_back(std::move(row));
    }
    for (const auto& row : batch) put(row);
}

namespace {

// Control events and uses stand in the record in the order in which they happened, as far as one batch sees them.
constexpr const char* take_events =
    "WITH taken AS (DELETE FROM jit_access.event RETURNING *) "
    "INSERT INTO jit_access.record (seq, node, kind, at, grant_id, login, detail, outcome) "
    "SELECT $1 + row_number() OVER (ORDER BY at, id), $2::uuid, kind, at, request_id, actor, detail, 'completed' FROM "
    "taken";

constexpr const char* take_both =
    "WITH taken AS (DELETE FROM jit_access.event RETURNING *), batch AS MATERIALIZED (SELECT * FROM "
    "jit_access.journal($2, $3)), "
    "news AS (SELECT at, id, NULL::bigint AS position, kind, request_id AS grant_id, NULL::bigint[] AS grants, actor "
    "AS login, "
    "NULL AS role, NULL AS database, NULL AS client_addr, NULL AS application, NULL::integer AS pid, NULL::timestamptz "
    "AS "
    "session_start, NULL::integer AS depth, NULL AS tag, NULL AS statement, NULL::integer AS statement_bytes, "
    "NULL::text[] AS "
    "objects, NULL::text[] AS privileges, 'completed' AS outcome, NULL::bigint AS rows, NULL::interval AS duration, "
    "NULL AS sqlstate, detail, NULL::bigint AS of_position FROM taken UNION ALL "
    "SELECT at, NULL, position, kind, grant_id, grants, login, role, database, client_addr, application, pid, "
    "session_start, "
    "depth, tag, statement, statement_bytes, objects, privileges, outcome, rows, duration, sqlstate, detail, "
    "of_position "
    "FROM batch), added AS ("
    "INSERT INTO jit_access.record (seq, node, position, kind, at, grant_id, grants, login, role, database, "
    "client_addr, "
    "application, pid, session_start, depth, tag, statement, statement_bytes, objects, privileges, outcome, rows, "
    "duration, "
    "sqlstate, detail, of_position) SELECT $1 + row_number() OVER (ORDER BY at, id, position), $4::uuid, position, "
    "kind, at, "
    "grant_id, grants, login, role, database, client_addr, application, pid, session_start, depth, tag, statement, "
    "statement_bytes, objects, privileges, outcome, rows, duration, sqlstate, detail, of_position FROM news) "
    "SELECT max(next_position) FROM batch";

}  // namespace

Batch take_over() {
    Batch result;
    const auto last = pg::query_row("SELECT coalesce(max(seq), 0) FROM jit_access.record").value().get<std::int64_t>(0);
    if (!journal::available()) {
        pg::execute(take_events, {last, journal::node()});
        return result;
    }
    const auto known =
        pg::query_row("SELECT position FROM jit_access.journal_position WHERE node = $1::uuid", {journal::node()});
    const auto from = known ? known->get<std::int64_t>(0) : 0;
    const auto row = pg::query_row(take_both, {last, from, static_cast<std::int32_t>(batch_size), journal::node()});
    if (row->is_null(0)) return result;
    const auto position = row->get<std::int64_t>(0);
    pg::execute(
        "INSERT INTO jit_access.journal_position (node, position) VALUES ($1::uuid, $2) "
        "ON CONFLICT (node) DO UPDATE SET position = excluded.position",
        {journal::node(), position});
    result.position = static_cast<std::uint64_t>(position);
    result.journal_moved = true;
    result.more = result.position < journal::ring().head();
    return result;
}

std::uint64_t skip_what_was_lost() {
    const auto known =
        pg::query_row("SELECT position FROM jit_access.journal_position WHERE node = $1::uuid", {journal::node()});
    const auto read = known ? static_cast<std::uint64_t>(known->get<std::int64_t>(0)) : 0;
    const auto head = journal::ring().head();
    if (read <= head) return 0;
    journal::skip_to(read);
    return read - head;
}

void close_interrupted(pg::Instant before) {
    if (!journal::available()) return;
    pg::execute(
        "INSERT INTO jit_access.record (seq, node, kind, at, outcome, of_position) "
        "SELECT (SELECT coalesce(max(seq), 0) FROM jit_access.record) + row_number() OVER (ORDER BY u.seq), u.node, "
        "'outcome', "
        "pg_catalog.clock_timestamp(), 'interrupted', u.position FROM jit_access.record u "
        "WHERE u.node = $1::uuid AND u.kind = 'use' AND u.outcome IS NULL AND u.at < $2 AND NOT EXISTS "
        "(SELECT FROM jit_access.record o WHERE o.node = u.node AND o.of_position = u.position)",
        {journal::node(), before});
}

}  // namespace jit::ingest
