// The hash chain: its form never changes, and any change of a record that an anchor covers is found.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE chain
#include "jit_access/core/chain.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <random>
#include <string>

#include "sample_record.hpp"
#include "verify/hasher.hpp"

using namespace jit::core;
using namespace sample_record;
using namespace std::string_view_literals;

namespace {

std::string hex_of(const AuditRecord& entry) { return to_hex(bytes_of(entry)); }

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

// Makes the hashes fit again, as an attacker would who knows the algorithm and does not have the key.
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

// The record that is written when the records up to `last` are dropped.
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

struct Outcome {
    std::string findings;
    std::string notes;
    Verdict verdict = Verdict::broken;
    std::int64_t anchored_to = 0;
    std::int64_t records = 0;
    std::int64_t checkpoints = 0;
    std::int64_t last = 0;
};

Outcome verify(const Record& record, const std::vector<Checkpoint>& anchors = {}, const Buffer& by = key,
               std::int64_t to = highest, std::optional<std::int64_t> next = std::nullopt, Kept kept = Kept::outside) {
    Verifier verifier(hasher, chain, 0, first_head(hasher, chain), by);
    for (const auto& anchor : anchors) verifier.add_checkpoint(anchor, "the safe", kept);
    for (const auto& stored : record) verifier.add_record(stored.seq, stored.bytes, stored.head);
    verifier.end_of_record(to, next);
    Outcome outcome{{},
                    {},
                    verifier.verdict(),
                    verifier.anchored_to(),
                    verifier.records(),
                    verifier.checkpoints(),
                    verifier.last()};
    for (const auto& finding : verifier.findings())
        outcome.findings += std::to_string(finding.seq) + ": " + finding.message + "\n";
    for (const auto& note : verifier.notes()) outcome.notes += note + "\n";
    return outcome;
}

const std::string changed = "this record or an earlier one was changed\n";
const std::string rewritten = "the record does not match a checkpoint in the safe: it was rewritten, or has branched\n";

}  // namespace

// ---- form -----------------------------------------------------------------------------------------------------------

// The form of bytes, heads and MACs must never change: later versions have to verify the records of this one.
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
    // A range that begins at a checkpoint.
    Verifier part(hasher, chain, 4, record[3].head, key);
    part.add_checkpoint(checkpoint_of(record[3]), "the safe", Kept::outside);
    for (std::size_t i = 4; i < 8; ++i) part.add_record(record[i].seq, record[i].bytes, record[i].head);
    part.end_of_record(8, 9);
    BOOST_TEST(part.findings().empty());
    BOOST_TEST(part.checkpoints() == 1);
    BOOST_TEST((part.head() == record[7].head));
}

// "Sound" needs an anchor, and says up to which one: an export that was cut to nothing is intact as well.
BOOST_AUTO_TEST_CASE(without_an_anchor_it_is_self_consistent) {
    const auto record = make_record(10);
    const auto nothing = verify({});
    BOOST_TEST((nothing.verdict == Verdict::self_consistent));
    BOOST_TEST(nothing.anchored_to == 0);
    BOOST_TEST((verify(record).verdict == Verdict::self_consistent));
    auto cut = record;
    cut.resize(6);
    BOOST_TEST((verify(cut).verdict == Verdict::self_consistent));
    BOOST_TEST((verify(cut, {checkpoint_of(record[3])}, key, highest, {}, Kept::in_table).verdict ==
                Verdict::self_consistent));
    const auto anchored = verify(cut, {checkpoint_of(record[1]), checkpoint_of(record[3])});
    BOOST_TEST((anchored.verdict == Verdict::sound));
    BOOST_TEST(anchored.anchored_to == 4);
    BOOST_TEST(anchored.notes == "");
    BOOST_TEST((verify(cut, {checkpoint_of(record[7])}).verdict == Verdict::broken));
    // An anchor before the range confirms nothing of it.
    Verifier part(hasher, chain, 4, record[3].head, key);
    part.add_checkpoint(checkpoint_of(record[3]), "the safe", Kept::outside);
    for (std::size_t i = 4; i < 10; ++i) part.add_record(record[i].seq, record[i].bytes, record[i].head);
    part.end_of_record();
    BOOST_TEST((part.verdict() == Verdict::self_consistent));
}

// Anybody can write a line that looks like an anchor (RAISE LOG). It neither breaks a sound record nor proves one.
BOOST_AUTO_TEST_CASE(a_forged_anchor_is_noted) {
    const auto record = make_record(10);
    const auto good = checkpoint_of(record[5]);
    const auto forged = [&](auto change) {
        auto anchor = checkpoint_of(record[7]);
        change(anchor);
        return anchor;
    };
    const std::vector lies{forged([](Checkpoint& c) { c.mac[0] ^= std::byte{1}; }),
                           forged([](Checkpoint& c) { c.head[0] ^= std::byte{1}; }),
                           forged([](Checkpoint& c) { c.seq = 1000; }), forged([](Checkpoint& c) { c.at += 1; }),
                           forged([](Checkpoint& c) { c.chain[0] ^= 1; })};
    for (const auto& lie : lies) {
        const auto outcome = verify(record, {good, lie});
        BOOST_TEST(outcome.findings == "");
        BOOST_TEST((outcome.verdict == Verdict::sound));
        BOOST_TEST(outcome.anchored_to == 6);
        BOOST_TEST(outcome.checkpoints == 1);
        BOOST_TEST(outcome.notes == "forged: the safe has 1 checkpoint that the key did not make\n");
        BOOST_TEST((verify(record, {lie}).verdict == Verdict::self_consistent));
    }
    BOOST_TEST(verify(record, lies).notes == "forged: the safe has 5 checkpoints that the key did not make\n");
    // In the table, which only a superuser writes, each is a finding.
    for (const auto& lie : lies)
        BOOST_TEST((verify(record, {good, lie}, key, highest, {}, Kept::in_table).verdict == Verdict::broken));
}

BOOST_AUTO_TEST_CASE(without_the_key_anchors_are_unauthenticated) {
    const auto record = make_record(10);
    const auto good = checkpoint_of(record[5]);
    const std::string note = "unauthenticated: the safe has 1 checkpoint, and there is no key to check them with\n";
    auto outcome = verify(record, {good}, {});
    BOOST_TEST((outcome.verdict == Verdict::self_consistent));
    BOOST_TEST(outcome.checkpoints == 1);
    BOOST_TEST(outcome.notes == note);
    auto other = good;
    other.head[0] ^= std::byte{1};
    outcome = verify(record, {other}, {});
    BOOST_TEST((outcome.verdict == Verdict::self_consistent));
    BOOST_TEST(outcome.notes == note + "unauthenticated: record 6 does not match a checkpoint in the safe\n");
    outcome = verify({record.begin(), record.begin() + 4}, {good}, {});
    BOOST_TEST((outcome.verdict == Verdict::self_consistent));
    BOOST_TEST(outcome.notes == note +
                                    "unauthenticated: record 5: missing: the record ends here, and a checkpoint in the "
                                    "safe knows it up to 6\n");
    other = good;
    other.chain[0] ^= 1;
    outcome = verify(record, {other}, {});
    BOOST_TEST((outcome.verdict == Verdict::self_consistent));
    BOOST_TEST(outcome.notes.find("unauthenticated: the safe knows another chain, ") != std::string::npos);
    // The chain itself needs no key.
    auto changed_record = record;
    changed_record[2].bytes = stored_of(3, "SELECT 'nothing'").bytes;
    BOOST_TEST((verify(changed_record, {good}, {}).verdict == Verdict::broken));
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
    BOOST_TEST(verify(record).findings == "5: " + changed + "5: duplicate or out of order\n6: " + changed);
    record = make_record(10);
    record.insert(record.begin(), stored_of(0, "SELECT 'forged'"));
    BOOST_TEST(verify(record).findings == "0: duplicate or out of order\n");
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
    BOOST_TEST(verify(record).findings == "5: missing, up to the one before 6\n5: duplicate or out of order\n");
    record = make_record(10);
    record.insert(record.begin() + 5, record[4]);
    BOOST_TEST(verify(record).findings == "5: duplicate or out of order\n");
    record = make_record(10);
    record.push_back(record[2]);
    BOOST_TEST(verify(record).findings == "3: duplicate or out of order\n");
}

BOOST_AUTO_TEST_CASE(a_cut_tail) {
    auto record = make_record(10);
    const std::vector anchors{checkpoint_of(record[3]), checkpoint_of(record[7]), checkpoint_of(record[9])};
    record.resize(6);
    BOOST_TEST(verify(record).findings == "");  // no anchor covers it
    BOOST_TEST(verify(record, {anchors[0]}).findings == "");
    BOOST_TEST(verify(record, anchors).findings ==
               "7: missing: the record ends here, and a checkpoint in the safe knows it up to 10\n");
    BOOST_TEST(verify({}, anchors).findings ==
               "1: missing: the record ends here, and a checkpoint in the safe knows it up to 10\n");
    // Only a range is verified.
    BOOST_TEST(verify(record, anchors, key, 6).findings == "");
    BOOST_TEST(verify(record, anchors, key, 6, 7).findings == "");
    BOOST_TEST(verify(record, anchors, key, 7).findings ==
               "7: missing: the record ends here, and a checkpoint in the safe knows it up to 10\n");
    BOOST_TEST(verify(record, {}, key, 8, 9).findings == "7: missing, up to the one before 9\n");
}

// Ten records. After the eighth some were dropped, which the ninth states.
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
    BOOST_TEST(verdict.checkpoints == 2);  // also the one of the last dropped record
    BOOST_TEST(verify(rest, anchors, {}).findings == "");
    // The whole record, a longer one, and ranges that end before the record of the drop, which is added separately.
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
    // Only the newest record of a drop counts, and only if it is in the chain.
    record = behind(whole, 6);
    record[2].bytes = stored_of_dropped(9, dropped_up_to(whole[5])).bytes;
    BOOST_TEST(verify(record).findings == "1: missing, up to the one before 7\n9: " + changed);
    const auto forged = behind(with_dropped(6, Buffer(32, std::byte{1})), 6);
    BOOST_TEST(verify(forged).findings ==
               "7: the records before it were dropped, and the record that says so was not made with the key\n");
    BOOST_TEST(verify(forged, {}, {}).findings == "");
    BOOST_TEST(verify(forged, {checkpoint_of(whole[9])}, {}, highest, {}, Kept::in_table).findings ==
               "10: " + rewritten);
    // A head that differs from the anchored one.
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
    // The form of this MAC must never change either.
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
    BOOST_TEST(verify(record, {checkpoint_of(original[3])}).findings == "");  // older than the change
    const auto verdict = verify(record, {checkpoint_of(original[3]), checkpoint_of(original[7])});
    BOOST_TEST(verdict.findings == "8: " + rewritten);
    BOOST_TEST(verdict.checkpoints == 1);
    // One is deleted, and the others are renumbered.
    record = original;
    record.erase(record.begin() + 4);
    for (std::size_t i = 4; i < record.size(); ++i)
        record[i] = stored_of(record[i].seq - 1, "SELECT " + std::to_string(record[i].seq));
    rehash(record);
    BOOST_TEST(verify(record, {checkpoint_of(original[7])}).findings == "8: " + rewritten);
    // Rewritten from the first record on, with another chain.
    const Checkpoint other_beginning{chain, 0, 0, first_head(hasher, uuid_of(1)), {}};
    BOOST_TEST(verify({}, {other_beginning}, {}, highest, {}, Kept::in_table).findings == "0: " + rewritten);
}

BOOST_AUTO_TEST_CASE(a_forged_checkpoint) {
    const auto record = make_record(10);
    const auto forged = "5: a checkpoint in the safe was not made with the key\n";
    const auto findings = [&](const Checkpoint& checkpoint, const Buffer& by = key) {
        return verify(record, {checkpoint}, by, highest, {}, Kept::in_table).findings;
    };
    auto checkpoint = checkpoint_of(record[4]);
    checkpoint.mac[5] ^= std::byte{1};
    BOOST_TEST(findings(checkpoint) == forged);
    checkpoint = checkpoint_of(record[4]);
    checkpoint.at += 1;
    BOOST_TEST(findings(checkpoint) == forged);
    BOOST_TEST(findings(checkpoint, {}) == "");  // without the key only the head is compared
    BOOST_TEST(findings(checkpoint_of(record[4], Buffer(32, std::byte{1}))) == forged);
    BOOST_TEST(findings(checkpoint_of(record[4]), Buffer(16, std::byte{0x5A})) == forged);
    // A checkpoint far ahead that was not made with the key is rejected: it must not make the record look truncated.
    auto ahead = record[4];
    ahead.seq = 1'000'000;
    BOOST_TEST(findings(checkpoint_of(ahead, Buffer(32, std::byte{1}))) ==
               "1000000: a checkpoint in the safe was not made with the key\n");
}

BOOST_AUTO_TEST_CASE(another_chain) {
    const auto record = make_record(10);
    std::vector<Checkpoint> anchors;
    for (std::int64_t seq = 1; seq <= 50; ++seq) {
        anchors.push_back({.chain = uuid_of(1), .seq = seq});
        anchors.back().mac = checkpoint_mac(hasher, key, anchors.back());
    }
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

// Random changes of records that an anchor covers, with or without hashes that were made to fit.
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
        if (pick(2) == 0)  // renumbered, as if nothing was missing
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
