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
#include "jit_access/record/journal.hpp"
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

// All zeros, which is the hash of nothing, where the text is no hash.
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

constexpr const char* hex_head = "SELECT seq, pg_catalog.encode(hash, 'hex') FROM jit_access.record ";
constexpr const char* checkpoint_columns =
    "SELECT seq, coalesce(at, '-infinity'), coalesce(pg_catalog.encode(head, 'hex'), ''), "
    "coalesce(pg_catalog.encode(mac, 'hex'), '') FROM jit_access.checkpoint ";

// Where the chain stands before a record: at the one before it, or at a checkpoint, when it is one of a later record.
Head head_before(std::int64_t seq, const core::Uuid& chain, core::Hasher& hasher) {
    const std::string of_record = std::string(hex_head) + "WHERE seq < $1 ORDER BY seq DESC LIMIT 1";
    const auto record = pg::query_row(of_record.c_str(), {seq});
    const std::string of_checkpoint = std::string(checkpoint_columns) + "WHERE seq < $1 ORDER BY seq DESC LIMIT 1";
    const auto checkpoint = pg::query_row(of_checkpoint.c_str(), {seq});
    if (record && (!checkpoint || record->get<std::int64_t>(0) >= checkpoint->get<std::int64_t>(0)))
        return {record->get<std::int64_t>(0), digest_from(record->get<std::string>(1))};
    if (checkpoint) return {checkpoint->get<std::int64_t>(0), digest_from(checkpoint->get<std::string>(2))};
    return {0, core::first_head(hasher, chain)};
}

// The whole record begins with the chain: nothing before it may be missing.
Head head_where(const std::optional<std::int64_t>& from, const core::Uuid& chain, core::Hasher& hasher) {
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

std::vector<std::byte> key_or_new() {
    if (const auto key = read_key()) return *key;
    const auto name = checkpoint_key_file();
    const auto fault = key_file::create(name);
    if (const auto key = read_key(); !fault && key) return *key;
    throw Failure(Code::journal_failed, "there is no key for checkpoints",
                  "\"" + name + "\" holds no key, and none could be made: " + fault.value_or("File exists") + ".",
                  "Put at least 32 hexadecimal digits into the file, readable for the server alone.");
}

// A disk that was full has left half a line.
bool ends_within_a_line(const std::string& name) {
    std::ifstream file(name, std::ios::ate);
    return file.tellg() > 0 && file.seekg(-1, std::ios::end) && file.get() != '\n';
}

// One write of one line: lines of two writers do not mix.
void append_anchor(const Checkpoint& checkpoint) {
    const auto name = anchor_file();
    const auto line = (ends_within_a_line(name) ? "\n" : "") + core::to_line(checkpoint) + "\n";
    const int file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, S_IRUSR | S_IWUSR);
    const bool ok =
        file >= 0 && ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && ::fsync(file) == 0;
    const int error = errno;
    if (file >= 0) ::close(file);
    if (!ok)
        throw Failure(Code::journal_failed, "a checkpoint could not be anchored",
                      "\"" + name + "\" cannot be written: " + std::strerror(error) + ".",
                      "Mend jit_access.anchor_file, then jit_audit_checkpoint().");
}

// False: there is no such file.
template <class Visit>
bool for_each_anchor(const std::string& name, Visit&& visit) {
    std::ifstream file(name);
    for (std::string line; std::getline(file, line);)
        if (const auto anchor = core::checkpoint_from_line(line)) visit(*anchor);
    return file.is_open();
}

// Everything that is known of a chain from `from` on.
template <class Know>
void for_each_checkpoint(const core::Uuid& chain, std::int64_t from, Know&& know) {
    const std::string sql = std::string(checkpoint_columns) + "WHERE seq >= $1 ORDER BY seq";
    for (const auto& row : pg::query(sql.c_str(), {from})) know(from_row(row, chain), "jit_access.checkpoint");
}

constexpr auto no_end = std::numeric_limits<std::int64_t>::max();

// A part may end before the record says what was dropped.
template <class Tell>
void tell_of_dropped(const std::optional<std::int64_t>& to, Tell&& tell) {
    if (!to) return;
    const auto newest =
        pg::query_row("SELECT max(seq) FROM jit_access.record WHERE kind = 'records dropped'")->maybe<std::int64_t>(0);
    if (!newest || *newest <= *to) return;
    std::vector<std::byte> bytes;
    pg::read_record(*newest, *newest, [&](const core::AuditRecord& entry, const Digest&) {
        core::canonical_bytes(entry, bytes);
        tell(bytes);
    });
}

// The first record after a part of the record.
std::optional<std::int64_t> record_behind(std::int64_t to) {
    return pg::query_row("SELECT min(seq) FROM jit_access.record WHERE seq > $1", {to})->maybe<std::int64_t>(0);
}

void check_range(const std::optional<std::int64_t>& from, const std::optional<std::int64_t>& to) {
    if ((from && *from < 1) || (to && *to < from.value_or(1)))
        throw Failure(Code::invalid_argument, "invalid range of records",
                      "Records are numbered from 1, and the range has to be one.", "Leave both out for all of them.");
}

}  // namespace

Appender::Appender() {
    const auto head = head_before(std::numeric_limits<std::int64_t>::max(), chain_id(), hasher_);
    head_ = head.digest;
    // Where somebody has emptied the tables it goes on all the same, and what is missing is missing.
    seq_ = std::max(head.seq, writer_.first_seq() - 1);
}

void Appender::add(core::AuditRecord& entry) {
    entry.seq = ++seq_;
    core::canonical_bytes(entry, bytes_);
    head_ = core::next_head(hasher_, head_, bytes_);
    writer_.add(entry, head_);
}

void Appender::finish() { writer_.finish(); }

std::optional<std::int64_t> checkpoint() {
    // One at a time: the number is the key.
    pg::execute("LOCK TABLE jit_access.checkpoint IN SHARE ROW EXCLUSIVE MODE");
    const auto chain = chain_id();
    pg::ServerHasher hasher;
    const auto head = head_before(std::numeric_limits<std::int64_t>::max(), chain, hasher);
    const auto known = pg::query_row("SELECT 1 FROM jit_access.checkpoint WHERE seq >= $1", {head.seq});
    if (known || head.seq == 0) return std::nullopt;
    Checkpoint made{.chain = chain, .seq = head.seq, .at = pg::wall_clock(), .head = head.digest};
    made.mac = core::checkpoint_mac(hasher, key_or_new(), made);
    append_anchor(made);
    pg::execute(
        "INSERT INTO jit_access.checkpoint (seq, at, head, mac) VALUES ($1, $2, pg_catalog.decode($3, 'hex'), "
        "pg_catalog.decode($4, 'hex'))",
        {made.seq, pg::Instant{made.at}, core::to_hex(made.head), core::to_hex(made.mac)});
    pg::log_line("checkpoint " + core::to_line(made));
    return made.seq;
}

void checkpoint_if_due() {
    const auto due = pg::query_row(
        "SELECT coalesce((SELECT max(at) FROM jit_access.checkpoint), '-infinity') + $1::bigint * interval '1 second' "
        "<= pg_catalog.clock_timestamp()",
        {std::int64_t{settings::checkpoint_interval}});
    if (due->get<bool>(0)) checkpoint();
}

void note_dropped(std::int64_t first, std::int64_t last) {
    const auto chain = chain_id();
    const auto known = pg::query_row(
        "SELECT pg_catalog.encode(c.head, 'hex'), r.hash = c.head FROM jit_access.checkpoint c JOIN jit_access.record "
        "r ON "
        "r.seq = c.seq WHERE c.seq = $1",
        {last});
    if (!known || !known->get<bool>(1))
        throw Failure(Code::wrong_state, "records are not dropped",
                      "Record " + std::to_string(last) + " is not the one of its checkpoint.",
                      "Look at jit_audit_verify().");
    pg::ServerHasher hasher;
    core::Dropped dropped{.first = first, .last = last, .head = digest_from(known->get<std::string>(0))};
    dropped.mac = core::dropped_mac(hasher, key_or_new(), chain, dropped);
    const auto detail = pg::normalize_json(core::to_detail(dropped));
    core::AuditRecord entry;
    entry.node = journal::node_id();
    entry.kind = core::dropped_kind;
    entry.at = pg::wall_clock();
    entry.login = task::actor;
    entry.outcome = "completed";
    entry.detail = detail;
    Appender record;
    record.add(entry);
    record.finish();
}

Verification verify(std::optional<std::int64_t> from, std::optional<std::int64_t> to) {
    check_range(from, to);
    const auto chain = chain_id();
    pg::ServerHasher hasher;
    const auto before = head_where(from, chain, hasher);
    const auto key = read_key();
    core::Verifier verifier(hasher, chain, before.seq, before.digest, key.value_or(std::vector<std::byte>{}));
    bool any = false;
    for_each_checkpoint(chain, before.seq, [&](const Checkpoint& known, const char* where) {
        any = true;
        verifier.know(known, where);
    });
    const auto file = anchor_file();
    const bool anchored = for_each_anchor(file, [&](const Checkpoint& anchor) {
        // Older ones belong to what is not looked at.
        if (anchor.chain != chain || anchor.seq >= before.seq) verifier.know(anchor, file);
    });
    if (any && !key)
        pg::notice("the MACs of the checkpoints are not checked", "\"" + checkpoint_key_file() + "\" holds no key.");
    if (any && !anchored) pg::notice("no anchors are checked", "\"" + file + "\" cannot be read.");
    tell_of_dropped(to, [&](Bytes dropped) { verifier.know_dropped(dropped); });
    // After the anchors: what is anchored meanwhile is not missing.
    std::vector<std::byte> bytes;
    pg::read_record(from, to.value_or(no_end), [&](const core::AuditRecord& entry, const Digest& head) {
        core::canonical_bytes(entry, bytes);
        verifier.record(entry.seq, bytes, head);
    });
    verifier.end_of_record(to.value_or(no_end), record_behind(to.value_or(no_end)));
    return {.sound = verifier.findings().empty(),
            .records = verifier.records(),
            .first = std::max(from.value_or(1), verifier.dropped_to() + 1),
            .last = verifier.last(),
            .checkpoints = verifier.checkpoints(),
            .head = verifier.head(),
            .findings = verifier.findings()};
}

void write_out(std::optional<std::int64_t> from, std::optional<std::int64_t> to,
               const std::function<void(std::optional<std::int64_t> seq, const std::string& line)>& put) {
    check_range(from, to);
    const auto chain = chain_id();
    pg::ServerHasher hasher;
    const auto before = head_where(from, chain, hasher);
    put({}, "jit_access record 1 " + core::to_text(chain) + ' ' + std::to_string(before.seq) + ' ' +
                core::to_hex(before.digest) +
                (to ? " to " + std::to_string(*to) + ' ' + std::to_string(record_behind(*to).value_or(0)) : " all"));
    for_each_checkpoint(chain, before.seq, [&](const Checkpoint& known, const char*) {
        if (!to || known.seq <= *to) put({}, "checkpoint " + core::to_line(known));
    });
    tell_of_dropped(to, [&](Bytes dropped) { put({}, "dropped " + core::to_hex(dropped)); });
    std::vector<std::byte> bytes;
    pg::read_record(from, to.value_or(no_end), [&](const core::AuditRecord& entry, const Digest& head) {
        core::canonical_bytes(entry, bytes);
        put(entry.seq, "record " + std::to_string(entry.seq) + ' ' + core::to_hex(head) + ' ' + core::to_hex(bytes));
    });
}

}  // namespace jit::chain
