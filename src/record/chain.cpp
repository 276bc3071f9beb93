#include "jit_access/record/chain.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <limits>
#include <sys/stat.h>
#include <unistd.h>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/digest.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/json.hpp"
#include "jit_access/pg/record_table.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/sql.hpp"
#include "jit_access/record/journal_file.hpp"
#include "jit_access/shared/key_file.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::chain {

namespace {

using core::Bytes;
using core::Checkpoint;
using core::Code;
using core::Digest;
using core::Failure;

core::Uuid chain_id() {
    const auto row = pg::query_row("SELECT id::text FROM jit_access.chain");
    if (!row) throw Failure(Code::wrong_state, "the record has no chain", "The table jit_access.chain is empty.");
    return core::uuid_from_text(row->get<std::string>(0)).value();
}

// Returns all zeros, which no record has as its hash, if the text is not a hash.
Digest digest_from(const std::string& hex) { return core::array_from_hex<core::digest_size>(hex).value_or(Digest{}); }

struct Head {
    std::int64_t seq = 0;
    Digest digest{};
};

Checkpoint from_row(const pg::Row& row, const core::Uuid& chain) {
    return {.chain = chain,
            .seq = row.get<std::int64_t>(0),
            .at = row.get<pg::Instant>(1).us,
            .head = digest_from(row.get<std::string>(2)),
            .mac = digest_from(row.get<std::string>(3))};
}

constexpr auto no_end = std::numeric_limits<std::int64_t>::max();

constexpr const char* record_before = R"sql(
    SELECT seq, pg_catalog.encode(hash, 'hex')
    FROM jit_access.record
    WHERE seq < $1
    ORDER BY seq DESC
    LIMIT 1
)sql";
// Columns that were set to NULL by hand become values that match nothing.
constexpr const char* checkpoint_before = R"sql(
    SELECT seq, coalesce(at, '-infinity'),
           coalesce(pg_catalog.encode(head, 'hex'), ''), coalesce(pg_catalog.encode(mac, 'hex'), '')
    FROM jit_access.checkpoint
    WHERE seq < $1
    ORDER BY seq DESC
    LIMIT 1
)sql";
constexpr const char* checkpoints_from = R"sql(
    SELECT seq, coalesce(at, '-infinity'),
           coalesce(pg_catalog.encode(head, 'hex'), ''), coalesce(pg_catalog.encode(mac, 'hex'), '')
    FROM jit_access.checkpoint
    WHERE seq >= $1
    ORDER BY seq
)sql";

// Returns the head of the chain before a record: the head of the previous record or, if records were dropped or deleted
// and a checkpoint is nearer, the head of that checkpoint.
Head head_before(std::int64_t seq, const core::Uuid& chain, core::Hasher& hasher) {
    const auto record = pg::query_row(record_before, {seq});
    const auto checkpoint = pg::query_row(checkpoint_before, {seq});
    if (record && (!checkpoint || record->get<std::int64_t>(0) >= checkpoint->get<std::int64_t>(0)))
        return {record->get<std::int64_t>(0), digest_from(record->get<std::string>(1))};
    if (checkpoint) return {checkpoint->get<std::int64_t>(0), digest_from(checkpoint->get<std::string>(2))};
    return {0, core::first_head(hasher, chain)};
}

// The head before a range. A range without a beginning starts from the beginning of the chain, so that missing first
// records are found.
Head head_before_range(const std::optional<std::int64_t>& from, const core::Uuid& chain, core::Hasher& hasher) {
    return from.value_or(1) > 1 ? head_before(*from, chain, hasher) : Head{0, core::first_head(hasher, chain)};
}

std::string in_journal_directory(const char* name) { return journal::directory() + "/" + name; }

std::string anchor_file() {
    const std::string named = settings::anchor_file;
    return named.empty() ? in_journal_directory("anchors") : named;
}

std::string checkpoint_key_file() {
    const std::string named = settings::checkpoint_key_file;
    return named.empty() ? in_journal_directory("key") : named;
}

std::optional<std::vector<std::byte>> read_key() { return key_file::read(checkpoint_key_file()); }

// Creates the key at the first checkpoint, so that a server needs no preparation.
std::vector<std::byte> read_or_create_key() {
    if (const auto key = read_key()) return *key;
    const auto name = checkpoint_key_file();
    const auto fault = key_file::create(name);
    if (const auto key = read_key(); !fault && key) return *key;
    throw Failure(Code::journal_failed, "there is no key for checkpoints",
                  "\"" + name + "\" holds no key, and none could be made: " + fault.value_or("File exists") + ".",
                  "Put at least 32 hexadecimal digits into the file, readable for the server alone.");
}

// Returns true if the last line of the file is incomplete, because the disk was full when it was written.
bool has_torn_last_line(const std::string& name) {
    std::ifstream file(name, std::ios::ate);
    return file.tellg() > 0 && file.seekg(-1, std::ios::end) && file.get() != '\n';
}

// Uses a single write() with O_APPEND, so that the lines of two servers that share a file do not mix.
void append_anchor(const Checkpoint& checkpoint) {
    const auto name = anchor_file();
    const auto line = (has_torn_last_line(name) ? "\n" : "") + core::to_line(checkpoint) + "\n";
    const int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, S_IRUSR | S_IWUSR);
    const bool ok =
        fd >= 0 && ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && ::fsync(fd) == 0;
    const int error = errno;
    if (fd >= 0) ::close(fd);
    if (!ok)
        throw Failure(Code::journal_failed, "a checkpoint could not be anchored",
                      "\"" + name + "\" cannot be written: " + std::strerror(error) + ".",
                      "Mend jit_access.anchor_file, then jit_audit_checkpoint().");
}

// Returns false if the file cannot be read. Lines that are not checkpoints are skipped.
template <class Visit>
bool for_each_anchor(const std::string& name, Visit&& visit) {
    std::ifstream file(name);
    for (std::string line; std::getline(file, line);)
        if (const auto anchor = core::checkpoint_from_line(line)) visit(*anchor);
    return file.is_open();
}

template <class Visit>
void for_each_checkpoint(const core::Uuid& chain, std::int64_t from, Visit&& visit) {
    for (const auto& row : pg::query(checkpoints_from, {from})) visit(from_row(row, chain), "jit_access.checkpoint");
}

// Visits the bytes of the newest record about dropped records, if it comes after a range that ends at `to`. Without
// this record, dropped records at the beginning of the range would seem to be missing.
template <class Visit>
void visit_dropped_behind(const std::optional<std::int64_t>& to, Visit&& visit) {
    if (!to) return;
    const auto newest =
        pg::query_row("SELECT max(seq) FROM jit_access.record WHERE kind = 'records dropped'")->maybe<std::int64_t>(0);
    if (!newest || *newest <= *to) return;
    std::vector<std::byte> bytes;
    pg::read_record(*newest, *newest, [&](const core::AuditRecord& record, const Digest&) {
        core::canonical_bytes(record, bytes);
        visit(bytes);
    });
}

// The first record after a range.
std::optional<std::int64_t> record_behind(std::int64_t to) {
    return pg::query_row("SELECT min(seq) FROM jit_access.record WHERE seq > $1", {to})->maybe<std::int64_t>(0);
}

void check_range(const std::optional<std::int64_t>& from, const std::optional<std::int64_t>& to) {
    if ((from && *from < 1) || (to && *to < from.value_or(1)))
        throw Failure(Code::invalid_argument, "invalid range of records",
                      "Records are numbered from 1, and the range must not be empty.",
                      "Omit both arguments to select all records.");
}

}  // namespace

Appender::Appender() {
    const auto head = head_before(no_end, chain_id(), hasher_);
    head_ = head.digest;
    // If the tables were emptied by hand, numbering continues within the open partition, and the verification reports
    // what is missing.
    seq_ = std::max(head.seq, writer_.first_seq() - 1);
}

void Appender::add(core::AuditRecord& record) {
    record.seq = ++seq_;
    core::canonical_bytes(record, bytes_);
    head_ = core::next_head(hasher_, head_, bytes_);
    writer_.add(record, head_);
}

void Appender::finish() { writer_.finish(); }

std::optional<std::int64_t> checkpoint() {
    // Two concurrent checkpoints of one record would violate the primary key. The lock also keeps the checkpoints in
    // the anchor file in order.
    pg::execute("LOCK TABLE jit_access.checkpoint IN SHARE ROW EXCLUSIVE MODE");
    const auto chain = chain_id();
    pg::ServerHasher hasher;
    const auto head = head_before(no_end, chain, hasher);
    const auto existing = pg::query_row("SELECT 1 FROM jit_access.checkpoint WHERE seq >= $1", {head.seq});
    if (existing || head.seq == 0) return std::nullopt;
    Checkpoint checkpoint{.chain = chain, .seq = head.seq, .at = pg::wall_clock(), .head = head.digest};
    checkpoint.mac = core::checkpoint_mac(hasher, read_or_create_key(), checkpoint);
    // The anchor is written first, because an anchor without a row is still proof, but a row without an anchor proves
    // nothing.
    append_anchor(checkpoint);
    pg::execute(
        R"sql(
        INSERT INTO jit_access.checkpoint (seq, at, head, mac)
        VALUES ($1, $2, pg_catalog.decode($3, 'hex'), pg_catalog.decode($4, 'hex'))
    )sql",
        {checkpoint.seq, pg::Instant{checkpoint.at}, core::to_hex(checkpoint.head), core::to_hex(checkpoint.mac)});
    pg::log_line("checkpoint " + core::to_line(checkpoint));
    return checkpoint.seq;
}

void checkpoint_if_due() {
    const auto due = pg::query_row(R"sql(
        SELECT coalesce((SELECT max(at) FROM jit_access.checkpoint), '-infinity') + $1::bigint * interval '1 second'
               <= pg_catalog.clock_timestamp()
    )sql",
                                   {std::int64_t{settings::checkpoint_interval}});
    if (due->get<bool>(0)) checkpoint();
}

void record_dropped(std::int64_t first, std::int64_t last) {
    const auto chain = chain_id();
    const auto row = pg::query_row(R"sql(
        SELECT pg_catalog.encode(c.head, 'hex'), r.hash = c.head
        FROM jit_access.checkpoint c
        JOIN jit_access.record r ON r.seq = c.seq
        WHERE c.seq = $1
    )sql",
                                   {last});
    if (!row || !row->get<bool>(1))
        throw Failure(Code::wrong_state, "records are not dropped",
                      "Record " + std::to_string(last) + " is not the one of its checkpoint.",
                      "Run jit_audit_verify().");
    pg::ServerHasher hasher;
    core::Dropped dropped{.first = first, .last = last, .head = digest_from(row->get<std::string>(0))};
    dropped.mac = core::dropped_mac(hasher, read_or_create_key(), chain, dropped);
    const auto detail = pg::normalize_json(core::to_detail(dropped));
    core::AuditRecord record;
    record.node = journal::node_id();
    record.kind = core::dropped_kind;
    record.at = pg::wall_clock();
    record.login = task::actor;
    record.outcome = "completed";
    record.detail = detail;
    Appender appender;
    appender.add(record);
    appender.finish();
}

Verification verify(std::optional<std::int64_t> from, std::optional<std::int64_t> to) {
    check_range(from, to);
    const auto chain = chain_id();
    pg::ServerHasher hasher;
    const auto before = head_before_range(from, chain, hasher);
    const auto key = read_key();
    core::Verifier verifier(hasher, chain, before.seq, before.digest, key.value_or(std::vector<std::byte>{}));
    std::int64_t newest_checkpoint = 0;
    for_each_checkpoint(chain, before.seq, [&](const Checkpoint& checkpoint, const char* source) {
        newest_checkpoint = std::max(newest_checkpoint, checkpoint.seq);
        verifier.add_checkpoint(checkpoint, source, core::Kept::in_table);
    });
    const auto file = anchor_file();
    std::int64_t newest_anchor = 0;
    const bool can_read_anchors = for_each_anchor(file, [&](const Checkpoint& anchor) {
        // An older anchor of this chain lies before the range.
        if (anchor.chain == chain && anchor.seq < before.seq) return;
        if (verifier.add_checkpoint(anchor, file, core::Kept::outside))
            newest_anchor = std::max(newest_anchor, anchor.seq);
    });
    if (newest_checkpoint > 0 && !key)
        pg::notice("the MACs of the checkpoints are not checked", "\"" + checkpoint_key_file() + "\" holds no key.");
    if (newest_checkpoint > 0 && !can_read_anchors)
        pg::notice("no anchors are checked", "\"" + file + "\" cannot be read.");
    else if (newest_anchor == 0 && can_read_anchors && !from)
        pg::notice("no anchors are checked", "\"" + file + "\" has no checkpoint of this record.");
    else if (newest_anchor < newest_checkpoint && newest_anchor > 0)
        pg::notice("checkpoints have no anchors", "\"" + file + "\" ends with record " + std::to_string(newest_anchor) +
                                                      ", and the last checkpoint is of record " +
                                                      std::to_string(newest_checkpoint) + ".");
    visit_dropped_behind(to, [&](Bytes dropped) { verifier.add_dropped(dropped); });
    // The anchors were read before the record. In the opposite order, a checkpoint that is made in between would seem
    // to be for a missing record.
    std::vector<std::byte> bytes;
    pg::read_record(from, to.value_or(no_end), [&](const core::AuditRecord& record, const Digest& head) {
        core::canonical_bytes(record, bytes);
        verifier.add_record(record.seq, bytes, head);
    });
    verifier.end_of_record(to.value_or(no_end), record_behind(to.value_or(no_end)));
    for (const auto& note : verifier.notes())
        pg::notice(note, "Such lines prove nothing, whether the record agrees with them or not.");
    return {.verdict = verifier.verdict(),
            .records = verifier.records(),
            .first = std::max(from.value_or(1), verifier.dropped_to() + 1),
            .last = verifier.last(),
            .checkpoints = verifier.checkpoints(),
            .anchored = verifier.anchored_to(),
            .head = verifier.head(),
            .findings = verifier.findings()};
}

std::optional<bool> is_sound(const Verification& verification) {
    if (verification.verdict == core::Verdict::self_consistent) return std::nullopt;
    return verification.verdict == core::Verdict::sound;
}

void export_lines(std::optional<std::int64_t> from, std::optional<std::int64_t> to,
                  const std::function<void(std::optional<std::int64_t> seq, const std::string& line)>& emit) {
    check_range(from, to);
    const auto chain = chain_id();
    pg::ServerHasher hasher;
    const auto before = head_before_range(from, chain, hasher);
    emit({}, "jit_access record 1 " + core::to_text(chain) + ' ' + std::to_string(before.seq) + ' ' +
                 core::to_hex(before.digest) +
                 (to ? " to " + std::to_string(*to) + ' ' + std::to_string(record_behind(*to).value_or(0)) : " all"));
    for_each_checkpoint(chain, before.seq, [&](const Checkpoint& checkpoint, const char*) {
        if (!to || checkpoint.seq <= *to) emit({}, "checkpoint " + core::to_line(checkpoint));
    });
    visit_dropped_behind(to, [&](Bytes dropped) { emit({}, "dropped " + core::to_hex(dropped)); });
    std::vector<std::byte> bytes;
    pg::read_record(from, to.value_or(no_end), [&](const core::AuditRecord& record, const Digest& head) {
        core::canonical_bytes(record, bytes);
        emit(record.seq, "record " + std::to_string(record.seq) + ' ' + core::to_hex(head) + ' ' + core::to_hex(bytes));
    });
}

}  // namespace jit::chain
