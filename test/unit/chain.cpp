// The chain over the record: every difference shows in the bytes, the bytes never change their form, and whatever is
// done to a record that an anchor covers is found.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE chain
#include "jit_access/core/chain.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <random>
#include <string>

#include "verify/hasher.hpp"

using namespace jit::core;
using namespace std::string_view_literals;

namespace {

using Buffer = std::vector<std::byte>;
constexpr auto lowest = std::numeric_limits<std::int64_t>::min();
constexpr auto highest = std::numeric_limits<std::int64_t>::max();

Uuid uuid_of(std::uint8_t first) {
    Uuid uuid{};
    for (std::size_t i = 0; i < uuid.size(); ++i) uuid.at(i) = static_cast<std::uint8_t>(first + i);
    return uuid;
}

AuditRecord sample() {
    AuditRecord entry;
    entry.seq = 7;
    entry.node = uuid_of(0x10);
    entry.position = 4096;
    entry.kind = "use";
    entry.at = 725'760'000'123'456;
    entry.grant_id = 42;
    entry.grants = {{42, 43}};
    entry.login = "alice";
    entry.role = "jit_grant_42";
    entry.database = "postgres";
    entry.client_addr = "::1/128";
    entry.application = "psql";
    entry.pid = 4711;
    entry.session_start = 725'759'999'000'000;
    entry.depth = 0;
    entry.tag = "SELECT";
    entry.statement = "SELECT 'Zürich'\n";
    entry.statement_bytes = 17;
    entry.statement_sha256 = "5c";
    entry.parameters = "$1 = 'x'";
    entry.objects = {{"app.orders", "app.\"a,b\""}};
    entry.privileges = {{"SELECT", "SELECT,UPDATE"}};
    entry.standing_privileges = {{"", "SELECT"}};
    entry.outcome = "completed";
    entry.rows = 3;
    entry.duration = Span{.microseconds = 1500, .days = -1, .months = 2};
    entry.sqlstate = "00000";
    entry.detail = R"({"reason": "x"})";
    entry.of_position = -1;
    return entry;
}

Buffer bytes_of(const AuditRecord& entry) {
    Buffer bytes;
    canonical_bytes(entry, bytes);
    return {bytes.begin(), bytes.end()};  // exactly as large, so that the sanitizer sees a byte too many
}

std::string hex_of(const AuditRecord& entry) { return to_hex(bytes_of(entry)); }

// What a column may hold: values that are next to each other, at the edges, or could be taken for each other.
template <class T>
std::vector<T> values_of();
template <>
std::vector<std::int64_t> values_of() {
    return {0, 1, -1, 7, 256, 4294967295, 4294967296, lowest, highest};
}
template <>
std::vector<std::int32_t> values_of() {
    return {0, 1, -1, 255, 65536, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
}
template <>
std::vector<Uuid> values_of() {
    return {Uuid{}, uuid_of(1), uuid_of(2)};
}
template <>
std::vector<std::string_view> values_of() {
    return {"", "NULL", " ", "a", "A", "a ", "ab", "\0"sv, "a\0"sv, "\xff\xff\xff\xff"sv, "ä", "a\xcc\x88"};
}
template <>
std::vector<Span> values_of() {
    return {Span{},         Span{1, 0, 0}, Span{0, 1, 0}, Span{0, 0, 1}, Span{86'400'000'000, 0, 0},
            Span{0, 30, 0}, Span{-1, 0, 0}};
}
template <>
std::vector<std::vector<std::int64_t>> values_of() {
    return {{}, {0}, {0, 0}, {1, 2}, {2, 1}, {lowest}, {highest}};
}
template <>
std::vector<std::vector<std::string_view>> values_of() {
    return {{},         {""},        {"", ""},    {"a"},          {"a", "b"}, {"b", "a"},     {"ab"},
            {"ab", ""}, {"", "ab"},  {"a,b"},     {"{a,b}"},      {"NULL"},   {"a", "", "b"}, {"a", "b", ""},
            {"abc"},    {"a", "bc"}, {"ab", "c"}, {"\0\0\0\1b"sv}};
}

template <class T>
std::vector<T> all_values(const T*) {
    return values_of<T>();
}
template <class T>
std::vector<std::optional<T>> all_values(const std::optional<T>*) {
    const auto values = values_of<T>();
    std::vector<std::optional<T>> all(values.begin(), values.end());
    all.emplace_back();
    return all;
}

// Every entry that differs from this one in one column.
std::vector<AuditRecord> neighbours(const AuditRecord& entry) {
    std::vector<AuditRecord> all;
    for (std::size_t column = 0; column < record_columns.size(); ++column) {
        bool more = true;
        for (std::size_t i = 0; more; ++i) {
            AuditRecord other = entry;
            std::size_t at = 0;
            for_each_column(other, [&](const ColumnInfo&, auto& value) {
                if (at++ != column) return;
                const auto values = all_values(&value);
                more = i < values.size();
                if (more) value = values[i];
            });
            if (more) all.push_back(std::move(other));
        }
    }
    return all;
}

// ---- a chain to tamper with -----------------------------------------------------------------------------------------

jit::verify::OpenSslHasher hasher;
const Buffer key(32, std::byte{0x5A});
const Uuid chain = uuid_of(0xA0);

struct Stored {
    std::int64_t seq = 0;
    Buffer bytes;
    Digest head{};
    bool operator==(const Stored&) const = default;
};
using Record = std::vector<Stored>;

// What somebody does who knows how the chain is made, and has no key.
void rehash(Record& record) {
    auto head = first_head(hasher, chain);
    for (auto& stored : record) head = stored.head = next_head(hasher, head, stored.bytes);
}

Stored stored_of(std::int64_t seq, std::string_view statement) {
    AuditRecord entry = sample();
    entry.seq = seq;
    entry.statement = statement;
    return {seq, bytes_of(entry), {}};
}

// What the worker writes when it has dropped what stands up to `last`.
Stored stored_of_dropped(std::int64_t seq, const Dropped& dropped) {
    const auto detail = to_detail(dropped);
    AuditRecord entry = sample();
    entry.seq = seq;
    entry.kind = dropped_kind;
    entry.detail = detail;
    return {seq, bytes_of(entry), {}};
}

Dropped dropped_up_to(const Stored& last, const Buffer& by = key) {
    Dropped dropped{.first = 1, .last = last.seq, .head = last.head};
    dropped.mac = dropped_mac(hasher, by, chain, dropped);
    return dropped;
}

Record make_record(std::int64_t count) {
    Record record;
    for (std::int64_t seq = 1; seq <= count; ++seq) record.push_back(stored_of(seq, "SELECT " + std::to_string(seq)));
    rehash(record);
    return record;
}

Checkpoint checkpoint_of(const Stored& stored, const Buffer& by = key) {
    Checkpoint made{.chain = chain, .seq = stored.seq, .at = 1'000'000 * stored.seq, .head = stored.head};
    made.mac = checkpoint_mac(hasher, by, made);
    return made;
}

struct Verdict {
    std::string findings;
    std::int64_t records = 0;
    std::int64_t checkpoints = 0;
    std::int64_t last = 0;
};

Verdict verify(const Record& record, const std::vector<Checkpoint>& anchors = {}, const Buffer& by = key,
               std::int64_t to = highest, std::optional<std::int64_t> next = std::nullopt) {
    Verifier verifier(hasher, chain, 0, first_head(hasher, chain), by);
    for (const auto& anchor : anchors) verifier.add_checkpoint(anchor, "the safe");
    for (const auto& stored : record) verifier.add_record(stored.seq, stored.bytes, stored.head);
    verifier.end_of_record(to, next);
    Verdict verdict{{}, verifier.records(), verifier.checkpoints(), verifier.last()};
    for (const auto& finding : verifier.findings())
        verdict.findings += std::to_string(finding.seq) + ": " + finding.message + "\n";
    return verdict;
}

const std::string changed = "changed, or what stood before it was\n";
const std::string rewritten =
    "the record is not the one of a checkpoint in the safe: it was rewritten, or is another branch of it\n";

}  // namespace

// ---- bytes ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(every_column_has_its_name) {
    std::size_t columns = 0;
    const AuditRecord entry;
    for_each_column(entry, [&](const ColumnInfo&, const auto&) { ++columns; });
    BOOST_TEST(columns == record_columns.size());
    const auto bytes = bytes_of(sample());
    const auto text = explain_bytes(bytes);
    BOOST_REQUIRE(text.has_value());
    for (const auto& column : record_columns)
        BOOST_TEST(text->find(std::string(column.name) + "=") != std::string::npos);
}

// No two of them: neither two values of a column, nor the same value in two columns.
BOOST_AUTO_TEST_CASE(different_entries_have_different_bytes) {
    AuditRecord bare;
    bare.kind = "use";
    for (const AuditRecord& base : {sample(), bare}) {
        std::map<Buffer, std::string> seen;
        std::map<std::string, int> as_base;
        for (const AuditRecord& entry : neighbours(base)) {
            const auto bytes = bytes_of(entry);
            const auto said = explain_bytes(bytes).value();
            if (bytes == bytes_of(base)) {
                ++as_base[said];  // a value that the column holds already
                continue;
            }
            const auto [found, fresh] = seen.emplace(bytes, said);
            BOOST_TEST(fresh, "the same bytes: " << found->second << " and " << said);
        }
        BOOST_TEST(seen.size() > 200U);
        BOOST_TEST(as_base.size() <= 1U);
    }
}

// Each value of a column has bytes of its own: what was left out above as "the same as the base" is one of each column
// at most.
BOOST_AUTO_TEST_CASE(no_two_values_of_a_column_have_the_same_bytes) {
    for (std::size_t column = 0; column < record_columns.size(); ++column) {
        std::vector<Buffer> all;
        std::size_t at = 0;
        AuditRecord entry = sample();
        for_each_column(entry, [&](const ColumnInfo&, auto& value) {
            if (at++ != column) return;
            for (const auto& other : all_values(&value)) {
                value = other;
                all.push_back(bytes_of(entry));
            }
        });
        BOOST_REQUIRE(all.size() > 2U);
        std::sort(all.begin(), all.end());
        BOOST_TEST((std::adjacent_find(all.begin(), all.end()) == all.end()), record_columns.at(column).name);
    }
}

BOOST_AUTO_TEST_CASE(bytes_replace_what_was_there) {
    Buffer bytes(5000, std::byte{1});
    canonical_bytes(sample(), bytes);
    BOOST_TEST((bytes == bytes_of(sample())));
}

// The form of bytes, heads and MACs is for ever: a record written today is proved by the program of ten years on.
BOOST_AUTO_TEST_CASE(the_form_does_not_change) {
    BOOST_TEST(hex_of(AuditRecord{}) ==
               "010000000800000000000000000000001000000000000000000000000000000000ffffffff0000000000000008000000"
               "0000000000ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
               "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
               "ffffffffff");
    BOOST_TEST(hex_of(sample()) ==
               "0100000008000000000000000700000010101112131415161718191a1b1c1d1e1f000000080000000000001000000000"
               "0375736500000008000294132affe24000000008000000000000002a0000001800000008000000000000002a00000008"
               "000000000000002b00000005616c6963650000000c6a69745f6772616e745f343200000008706f737467726573000000"
               "073a3a312f313238000000047073716c000000040000126700000008000294132aeebdc0000000040000000000000006"
               "53454c4543540000001153454c45435420275ac3bc72696368270a000000040000001100000002356300000008243120"
               "3d202778270000001b0000000a6170702e6f7264657273000000096170702e22612c62220000001b0000000653454c45"
               "43540000000d53454c4543542c5550444154450000000e000000000000000653454c45435400000009636f6d706c6574"
               "65640000000800000000000000030000001000000000000005dcffffffff000000020000000530303030300000000f7b"
               "22726561736f6e223a202278227d00000008ffffffffffffffff");
    const auto first = first_head(hasher, chain);
    BOOST_TEST(to_hex(first) == "17704922d713cbf712d8cb84c0ee867021416990af712a540bf744b6dd5f3419");
    const auto head = next_head(hasher, first, bytes_of(sample()));
    BOOST_TEST(to_hex(head) == "0a4b142e23fb94c890dd33f2c7e53b83b6b63795c57d95de6e4dc179ea8a0ec1");
    Checkpoint checkpoint{.chain = chain, .seq = 7, .at = -1, .head = head};
    checkpoint.mac = checkpoint_mac(hasher, key, checkpoint);
    BOOST_TEST(
        to_line(checkpoint) ==
        "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf 7 -1 0a4b142e23fb94c890dd33f2c7e53b83b6b63795c57d95de6e4dc179ea8a0ec1 "
        "c506ed4def5bc126c01cd2ba97a7f61a6f23a0061ef7b741dfc9b327b0b797e6");
}

BOOST_AUTO_TEST_CASE(bytes_are_explained) {
    const auto bytes = bytes_of(sample());
    BOOST_TEST(explain_bytes(bytes).value() ==
               R"(seq=7 node=10111213-1415-1617-1819-1a1b1c1d1e1f position=4096 kind="use" at=725760000123456 )"
               R"(grant_id=42 grants={42,43} login="alice" role="jit_grant_42" database="postgres" )"
               R"(client_addr="::1/128" application="psql" pid=4711 session_start=725759999000000 depth=0 )"
               R"(tag="SELECT" statement="SELECT 'Zürich'\x0a" statement_bytes=17 statement_sha256="5c" )"
               R"(parameters="$1 = 'x'" )"
               R"(objects={"app.orders","app.\"a,b\""} privileges={"SELECT","SELECT,UPDATE"} )"
               R"(standing_privileges={"","SELECT"} outcome="completed" )"
               R"(rows=3 duration=1500us sqlstate="00000" detail="{\"reason\": \"x\"}" of_position=-1)");
    const auto bare = bytes_of(AuditRecord{});
    BOOST_TEST(explain_bytes(bare).value() == R"(seq=0 node=00000000-0000-0000-0000-000000000000 kind="" at=0)");
    BOOST_TEST(!explain_bytes({}).has_value());
}

// The sanitizers watch.
BOOST_AUTO_TEST_CASE(torn_bytes_are_no_entry) {
    const auto bytes = bytes_of(sample());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const Buffer torn(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
        BOOST_TEST(!explain_bytes(torn).has_value());
    }
    auto longer = bytes;
    longer.push_back(std::byte{0});
    BOOST_TEST(!explain_bytes(longer).has_value());
}

BOOST_AUTO_TEST_CASE(mutated_bytes_are_read_within_their_bounds) {
    std::mt19937 random(1);
    const auto pick = [&](std::size_t below) {
        return std::uniform_int_distribution<std::size_t>(0, below - 1)(random);
    };
    const auto good = bytes_of(sample());
    std::size_t readable = 0;
    for (int round = 0; round < 50'000; ++round) {
        auto bytes = good;
        for (std::size_t i = pick(4) + 1; i > 0; --i) {
            constexpr unsigned edges[] = {0, 1, 0x7F, 0x80, 0xFE, 0xFF};
            bytes[pick(bytes.size())] = static_cast<std::byte>(pick(2) == 0 ? edges[pick(6)] : pick(256));
        }
        if (pick(4) == 0) bytes.resize(pick(bytes.size() + 1));
        const Buffer exact(bytes.begin(), bytes.end());
        if (explain_bytes(exact)) ++readable;
    }
    BOOST_TEST(readable > 0U);
    BOOST_TEST(readable < 50'000U);
}

// ---- lines ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_checkpoint_comes_back_from_its_line) {
    for (const std::int64_t seq : {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, lowest, highest})
        for (const std::int64_t at : {std::int64_t{0}, lowest, highest}) {
            Checkpoint made{.chain = uuid_of(1), .seq = seq, .at = at, .head = first_head(hasher, uuid_of(2))};
            made.mac = checkpoint_mac(hasher, key, made);
            const auto read = checkpoint_from_line(to_line(made));
            BOOST_REQUIRE(read.has_value());
            BOOST_TEST((read->chain == made.chain && read->head == made.head && read->mac == made.mac));
            BOOST_TEST(read->seq == seq);
            BOOST_TEST(read->at == at);
        }
}

BOOST_AUTO_TEST_CASE(malformed_lines_are_refused) {
    const auto line = to_line(checkpoint_of(make_record(1).front()));
    for (std::size_t size = 0; size < line.size(); ++size)
        BOOST_TEST(!checkpoint_from_line(line.substr(0, size)).has_value(), line.substr(0, size));
    const auto with = [&](std::string_view from, std::string_view to) {
        auto other = line;
        return other.replace(other.find(from), from.size(), to);
    };
    const std::string chain_text = to_text(chain);
    for (const auto& bad : {line + "0",
                            line + " x",
                            " " + line,
                            "\t" + line,
                            line + "\r",
                            line + line,
                            "x" + line,
                            with(" 1 ", "  "),
                            with(" 1 ", " one "),
                            with(" 1 ", " 1x "),
                            with(" 1 ", " +1 "),
                            with(" 1 ", " 1.0 "),
                            with(" 1 ", " 0x1 "),
                            with(" 1 ", " 9223372036854775808 "),
                            with(" 1 ", "  1 "),
                            with(" 1000000 ", " "),
                            with(chain_text, "alice"),
                            with(chain_text, chain_text.substr(2)),
                            with(chain_text, chain_text + "00"),
                            with(chain_text.substr(0, 2), "g0")})
        BOOST_TEST(!checkpoint_from_line(bad).has_value(), bad);
}

BOOST_AUTO_TEST_CASE(hexadecimal) {
    BOOST_TEST(to_hex(from_hex("00ff7F80aB").value()) == "00ff7f80ab");
    BOOST_TEST(from_hex("").value().empty());
    for (const auto bad : {"0", "0g", "g0", " 0", "0 ", "0x", "é0"}) BOOST_TEST(!from_hex(bad).has_value(), bad);
    const auto text = "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf";
    BOOST_TEST(to_text(chain) == text);
    BOOST_TEST((uuid_from_text(text).value() == chain));
    for (const auto bad :
         {"", "a0a1a2a3", "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeafb0", "z0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf"})
        BOOST_TEST(!uuid_from_text(bad).has_value(), bad);
}

BOOST_AUTO_TEST_CASE(a_mac_covers_every_field) {
    const auto good = checkpoint_of(make_record(3).back());
    std::vector<Checkpoint> others(5, good);
    others[0].chain[15] ^= 1;
    others[1].seq ^= 1;
    others[2].at ^= 1;
    others[3].head[31] ^= std::byte{1};
    others[4].head[0] ^= std::byte{0x80};
    for (const auto& other : others) BOOST_TEST((checkpoint_mac(hasher, key, other) != good.mac));
    BOOST_TEST((checkpoint_mac(hasher, Buffer(32, std::byte{0x5B}), good) != good.mac));
    BOOST_TEST((checkpoint_mac(hasher, key, good) == good.mac));
}

// ---- verdicts -------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_sound_chain) {
    const auto record = make_record(10);
    const auto verdict = verify(record, {checkpoint_of(record[3]), checkpoint_of(record[9])});
    BOOST_TEST(verdict.findings == "");
    BOOST_TEST(verdict.records == 10);
    BOOST_TEST(verdict.checkpoints == 2);
    BOOST_TEST(verdict.last == 10);
    BOOST_TEST(verify({}).findings == "");
    // A part of it, from a checkpoint on.
    Verifier part(hasher, chain, 4, record[3].head, key);
    part.add_checkpoint(checkpoint_of(record[3]), "the safe");
    for (std::size_t i = 4; i < 8; ++i) part.add_record(record[i].seq, record[i].bytes, record[i].head);
    part.end_of_record(8, 9);
    BOOST_TEST(part.findings().empty());
    BOOST_TEST(part.checkpoints() == 1);
    BOOST_TEST((part.head() == record[7].head));
}

BOOST_AUTO_TEST_CASE(a_changed_record) {
    for (const std::size_t at : {0, 4, 9}) {
        auto record = make_record(10);
        record[at].bytes = stored_of(record[at].seq, "SELECT 'nothing'").bytes;
        BOOST_TEST(verify(record).findings == std::to_string(at + 1) + ": " + changed);
    }
    auto record = make_record(10);
    record[4].head[0] ^= std::byte{1};
    BOOST_TEST(verify(record).findings == "5: " + changed + "6: " + changed);
}

BOOST_AUTO_TEST_CASE(a_removed_record) {
    auto record = make_record(10);
    record.erase(record.begin());
    BOOST_TEST(verify(record).findings == "1: missing, up to the one before 2\n");
    record = make_record(10);
    record.erase(record.begin() + 4, record.begin() + 7);
    BOOST_TEST(verify(record).findings == "5: missing, up to the one before 8\n");
}

BOOST_AUTO_TEST_CASE(an_inserted_record) {
    auto record = make_record(10);
    record.insert(record.begin() + 4, stored_of(5, "SELECT 'forged'"));
    BOOST_TEST(verify(record).findings == "5: " + changed + "5: there twice, or out of order\n6: " + changed);
    record = make_record(10);
    record.insert(record.begin(), stored_of(0, "SELECT 'forged'"));
    BOOST_TEST(verify(record).findings == "0: there twice, or out of order\n");
    record = make_record(10);
    record.push_back(stored_of(11, "SELECT 'forged'"));
    BOOST_TEST(verify(record).findings == "11: " + changed);
    record = make_record(10);
    record.push_back(stored_of(highest, "SELECT 'forged'"));
    BOOST_TEST(verify(record).findings == "11: missing, up to the one before " + std::to_string(highest) + "\n");
    record.push_back(record.back());
    BOOST_TEST(verify(record).records == 12);
}

BOOST_AUTO_TEST_CASE(swapped_and_duplicated_records) {
    auto record = make_record(10);
    std::swap(record[4].bytes, record[5].bytes);
    BOOST_TEST(verify(record).findings == "5: " + changed + "6: " + changed);
    record = make_record(10);
    std::swap(record[4], record[5]);
    BOOST_TEST(verify(record).findings == "5: missing, up to the one before 6\n5: there twice, or out of order\n");
    record = make_record(10);
    record.insert(record.begin() + 5, record[4]);
    BOOST_TEST(verify(record).findings == "5: there twice, or out of order\n");
    record = make_record(10);
    record.push_back(record[2]);
    BOOST_TEST(verify(record).findings == "3: there twice, or out of order\n");
}

BOOST_AUTO_TEST_CASE(a_cut_tail) {
    auto record = make_record(10);
    const std::vector anchors{checkpoint_of(record[3]), checkpoint_of(record[7]), checkpoint_of(record[9])};
    record.resize(6);
    BOOST_TEST(verify(record).findings == "");  // nobody knows
    BOOST_TEST(verify(record, {anchors[0]}).findings == "");
    BOOST_TEST(verify(record, anchors).findings ==
               "7: missing: the record ends here, and a checkpoint in the safe knows it up to 10\n");
    BOOST_TEST(verify({}, anchors).findings ==
               "1: missing: the record ends here, and a checkpoint in the safe knows it up to 10\n");
    // Only a part was asked for.
    BOOST_TEST(verify(record, anchors, key, 6).findings == "");
    BOOST_TEST(verify(record, anchors, key, 6, 7).findings == "");
    BOOST_TEST(verify(record, anchors, key, 7).findings ==
               "7: missing: the record ends here, and a checkpoint in the safe knows it up to 10\n");
    BOOST_TEST(verify(record, {}, key, 8, 9).findings == "7: missing, up to the one before 9\n");
}

// Ten records, of which some were dropped after the eighth; the ninth says so.
Record with_dropped(std::size_t count, const Buffer& by = key) {
    auto record = make_record(10);
    record[8] = stored_of_dropped(9, dropped_up_to(record[count - 1], by));
    rehash(record);
    return record;
}

Record behind(Record record, std::ptrdiff_t count) {
    record.erase(record.begin(), record.begin() + count);
    return record;
}

BOOST_AUTO_TEST_CASE(what_was_dropped_is_not_missing) {
    const auto whole = with_dropped(4);
    const auto rest = behind(whole, 4);
    const std::vector anchors{checkpoint_of(whole[1]), checkpoint_of(whole[3]), checkpoint_of(whole[9])};
    auto verdict = verify(rest, anchors);
    BOOST_TEST(verdict.findings == "");
    BOOST_TEST(verdict.records == 6);
    BOOST_TEST(verdict.checkpoints == 2);  // that of the last one that was dropped as well
    BOOST_TEST(verify(rest, anchors, {}).findings == "");
    // Everything up to the record that says so; again, more of it; parts that do not reach it, which it is handed to.
    BOOST_TEST(verify(behind(with_dropped(8), 8)).findings == "");
    auto again = whole;
    again[9] = stored_of_dropped(10, dropped_up_to(whole[6]));
    rehash(again);
    BOOST_TEST(verify(behind(again, 7)).findings == "");
    for (const std::int64_t to : {2, 4, 5, 8}) {
        Verifier part(hasher, chain, 0, first_head(hasher, chain), key);
        part.add_dropped(whole[8].bytes);
        for (const auto& stored : rest)
            if (stored.seq <= to) part.add_record(stored.seq, stored.bytes, stored.head);
        part.end_of_record(to, to < 5 ? 5 : to + 1);
        BOOST_TEST(part.findings().empty());
        BOOST_TEST(part.dropped_to() == 4);
    }
}

BOOST_AUTO_TEST_CASE(what_was_not_dropped_is_missing) {
    const auto whole = with_dropped(4);
    BOOST_TEST(verify(behind(whole, 6)).findings == "5: missing, up to the one before 7\n");
    BOOST_TEST(verify(behind(whole, 9)).findings == "1: missing, up to the one before 10\n");
    BOOST_TEST(verify(behind(whole, 3)).findings ==
               "4: there, although the record says that it was dropped, up to 4\n");
    BOOST_TEST(verify(whole).findings == "1: there, although the record says that it was dropped, up to 4\n");
    auto record = behind(whole, 4);
    record[0].bytes = stored_of(5, "SELECT 'nothing'").bytes;
    BOOST_TEST(verify(record).findings == "5: " + changed);
    record = behind(whole, 4);
    record.erase(record.begin() + 4);
    BOOST_TEST(verify(record).findings == "1: missing, up to the one before 5\n9: missing, up to the one before 10\n");
    // Only the newest counts, and only where it is in the chain.
    record = behind(whole, 6);
    record[2].bytes = stored_of_dropped(9, dropped_up_to(whole[5])).bytes;
    BOOST_TEST(verify(record).findings == "1: missing, up to the one before 7\n9: " + changed);
    const auto forged = behind(with_dropped(6, Buffer(32, std::byte{1})), 6);
    BOOST_TEST(verify(forged).findings ==
               "7: what stood before it was dropped, and the record that says so was not made with the key\n");
    BOOST_TEST(verify(forged, {}, {}).findings == "");
    BOOST_TEST(verify(forged, {checkpoint_of(whole[9])}, {}).findings == "10: " + rewritten);
    // Another head than the one that was anchored.
    auto other = dropped_up_to(whole[3]);
    other.head[0] ^= std::byte{1};
    other.mac = dropped_mac(hasher, key, chain, other);
    record = make_record(10);
    record[8] = stored_of_dropped(9, other);
    rehash(record);
    BOOST_TEST(verify(behind(record, 4), {checkpoint_of(whole[3])}).findings == "4: " + rewritten + "5: " + changed);
}

BOOST_AUTO_TEST_CASE(what_was_dropped_comes_back_from_its_bytes) {
    const auto made = dropped_up_to(make_record(7).back());
    const auto bytes = stored_of_dropped(9, made).bytes;
    const auto read = dropped_from(bytes);
    BOOST_REQUIRE(read.has_value());
    BOOST_TEST((read->first == 1 && read->last == 7 && read->head == made.head && read->mac == made.mac));
    BOOST_TEST(to_detail({.first = 2, .last = 3}) == R"({"mac": ")" + std::string(64, '0') + R"(", "head": ")" +
                                                         std::string(64, '0') + R"(", "last": 3, "first": 2})");
    BOOST_TEST(!dropped_from(stored_of(9, "SELECT 1").bytes).has_value());
    for (const auto detail : {"", "{}", R"({"last": 3})", R"({"mac": "", "head": "", "last": "", "first": ""})"}) {
        AuditRecord entry = sample();
        entry.kind = dropped_kind;
        entry.detail = detail;
        BOOST_TEST(!dropped_from(bytes_of(entry)).has_value());
    }
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const Buffer torn(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
        (void)dropped_from(torn);
    }
    BOOST_TEST(!dropped_from({}).has_value());
    // The form is for ever, as that of checkpoints.
    Dropped dropped{.first = 1, .last = 7, .head = first_head(hasher, chain)};
    BOOST_TEST(to_hex(dropped_mac(hasher, key, chain, dropped)) ==
               "8f91d00c2b444ca470655720ddd0359a81cbffd64b6e86a9f2afd112529036c9");
}

BOOST_AUTO_TEST_CASE(a_rewritten_chain) {
    const auto original = make_record(10);
    auto record = original;
    record[4].bytes = stored_of(5, "SELECT 'nothing'").bytes;
    rehash(record);
    BOOST_TEST(verify(record).findings == "");
    BOOST_TEST(verify(record, {checkpoint_of(original[3])}).findings == "");  // made before what was changed
    const auto verdict = verify(record, {checkpoint_of(original[3]), checkpoint_of(original[7])});
    BOOST_TEST(verdict.findings == "8: " + rewritten);
    BOOST_TEST(verdict.checkpoints == 1);
    // One is taken out, and the others are numbered anew.
    record = original;
    record.erase(record.begin() + 4);
    for (std::size_t i = 4; i < record.size(); ++i)
        record[i] = stored_of(record[i].seq - 1, "SELECT " + std::to_string(record[i].seq));
    rehash(record);
    BOOST_TEST(verify(record, {checkpoint_of(original[7])}).findings == "8: " + rewritten);
    // Everything, from the first on, with the chain of another one.
    BOOST_TEST(verify({}, {Checkpoint{chain, 0, 0, first_head(hasher, uuid_of(1)), {}}}, {}).findings ==
               "0: " + rewritten);
}

BOOST_AUTO_TEST_CASE(a_forged_checkpoint) {
    const auto record = make_record(10);
    const auto forged = "5: a checkpoint in the safe was not made with the key\n";
    auto checkpoint = checkpoint_of(record[4]);
    checkpoint.mac[5] ^= std::byte{1};
    BOOST_TEST(verify(record, {checkpoint}).findings == forged);
    checkpoint = checkpoint_of(record[4]);
    checkpoint.at += 1;
    BOOST_TEST(verify(record, {checkpoint}).findings == forged);
    BOOST_TEST(verify(record, {checkpoint}, {}).findings == "");  // without the key only the head counts
    BOOST_TEST(verify(record, {checkpoint_of(record[4], Buffer(32, std::byte{1}))}).findings == forged);
    BOOST_TEST(verify(record, {checkpoint_of(record[4])}, Buffer(16, std::byte{0x5A})).findings == forged);
    // One that is far ahead says nothing: whoever has no key cannot make the end of a record look cut.
    auto ahead = record[4];
    ahead.seq = 1'000'000;
    BOOST_TEST(verify(record, {checkpoint_of(ahead, Buffer(32, std::byte{1}))}).findings ==
               "1000000: a checkpoint in the safe was not made with the key\n");
}

BOOST_AUTO_TEST_CASE(another_chain) {
    const auto record = make_record(10);
    std::vector<Checkpoint> anchors;
    for (std::int64_t seq = 1; seq <= 50; ++seq) anchors.push_back({.chain = uuid_of(1), .seq = seq});
    anchors.push_back(checkpoint_of(record[9]));
    auto cut = record;
    cut.resize(5);
    BOOST_TEST(verify(cut, anchors).findings ==
               "1: the safe knows another chain, " + to_text(uuid_of(1)) +
                   ": the extension was dropped and created anew\n"
                   "6: missing: the record ends here, and a checkpoint in the safe knows it up to 10\n");
}

BOOST_AUTO_TEST_CASE(findings_do_not_grow_without_end) {
    auto record = make_record(100);
    for (auto& stored : record) stored.bytes.back() ^= std::byte{1};
    BOOST_TEST(std::ranges::count(verify(record).findings, '\n') == 20);
}

// Whatever is done to records that an anchor covers, with their hashes made to fit or not.
BOOST_AUTO_TEST_CASE(no_tampering_with_what_is_anchored_stays_unfound) {
    std::mt19937 random(2);
    const auto pick = [&](std::size_t below) {
        return std::uniform_int_distribution<std::size_t>(0, below - 1)(random);
    };
    const auto original = make_record(12);
    int tampered = 0;
    int untouched = 0;
    for (int round = 0; round < 30'000; ++round) {
        const auto anchored = pick(original.size());
        auto record = original;
        for (std::size_t i = pick(3) + 1; i > 0 && !record.empty(); --i) {
            const auto at = pick(record.size());
            const auto place = record.begin() + static_cast<std::ptrdiff_t>(at);
            switch (pick(9)) {
                case 0: record[at].bytes[pick(record[at].bytes.size())] ^= std::byte{1} << pick(8); break;
                case 1: record[at].bytes.resize(pick(record[at].bytes.size() + 1)); break;
                case 2: record[at].head[pick(32)] ^= std::byte{1} << pick(8); break;
                case 3: record.erase(place, place + static_cast<std::ptrdiff_t>(pick(record.size() - at) + 1)); break;
                case 4: record.insert(place, stored_of(record[at].seq, "SELECT 'forged'")); break;
                case 5: std::swap(record[at], record[pick(record.size())]); break;
                case 6: std::swap(record[at].bytes, record[pick(record.size())].bytes); break;
                case 7: record.insert(place, Stored(record[pick(record.size())])); break;
                default: record.resize(at);
            }
        }
        if (pick(2) == 0)  // numbered anew, as if nothing was missing
            for (std::size_t i = 0; i < record.size(); ++i) record[i].seq = static_cast<std::int64_t>(i) + 1;
        if (pick(2) == 0) rehash(record);

        const auto end = static_cast<std::ptrdiff_t>(anchored) + 1;
        const bool same =
            record.size() > anchored && std::equal(original.begin(), original.begin() + end, record.begin());
        const auto verdict = verify(record, {checkpoint_of(original[anchored])});
        if (!same) {
            ++tampered;
            BOOST_TEST_REQUIRE(verdict.findings != "", "round " << round << " was not found");
        } else if (record == original) {
            ++untouched;
            BOOST_TEST_REQUIRE(verdict.findings == "", "round " << round);
        }
    }
    BOOST_TEST(tampered >= 10'000);
    BOOST_TEST(untouched > 0);
}
