// The hash chain over the record: how its hashes are computed, and the verification that finds tampering.
//
//     head(0) = SHA-256("jit_access chain 1\n"  . chain)            chain: a UUID, new for each CREATE EXTENSION
//     head(n) = SHA-256("jit_access record 1\n" . head(n-1) . bytes(n))
//     mac     = HMAC-SHA-256(key, "jit_access checkpoint 1\n" . chain . n . at . head(n))
//     dropped = HMAC-SHA-256(key, "jit_access dropped 1\n" . chain . n . head(n))
//
// bytes(n) are the canonical bytes of record n (audit_record.hpp). Numbers are 8 bytes, big-endian. SHA-256 is FIPS
// 180-4, HMAC is RFC 2104.
//
// A checkpoint states that the record had this head at this time. A checkpoint that is kept outside of the database is
// an anchor: a person who can rewrite the tables cannot rewrite it. Anybody can write a line that looks like an anchor,
// for example into the server log by RAISE LOG, so an anchor counts only if its MAC is right. A chain without an anchor
// is merely self-consistent: its end may have been cut off together with its checkpoints. The server and the program
// jit-verify reach the same verdict because both use the Verifier below.
//
// The oldest records may be dropped when they exceed their retention. A later record of the chain then states the
// number and the head of the last dropped record. If the records do not begin with the next number, their beginning has
// been lost.
#pragma once

#include "jit_access/core/zone.hpp"

#include <initializer_list>
#include <limits>
#include <map>
#include <set>
#include <span>

#include "jit_access/core/audit_record.hpp"

namespace jit::core {

inline constexpr std::size_t digest_size = 32;
using Digest = std::array<std::byte, digest_size>;

// SHA-256 and HMAC. This is an interface, because core/ uses no library: the server and jit-verify each have an
// implementation.
class Hasher {
public:
    Hasher() = default;
    Hasher(const Hasher&) = delete;
    Hasher& operator=(const Hasher&) = delete;
    virtual ~Hasher() = default;
    [[nodiscard]] virtual Digest hash(std::initializer_list<Bytes> parts) = 0;
    [[nodiscard]] virtual Digest mac(Bytes key, std::initializer_list<Bytes> parts) = 0;
};

[[nodiscard]] Digest first_head(Hasher& hasher, const Uuid& chain);
[[nodiscard]] Digest next_head(Hasher& hasher, const Digest& head, Bytes bytes);

struct Checkpoint {
    Uuid chain{};
    std::int64_t seq = 0;  // 0: the chain has no record yet
    std::int64_t at = 0;   // microseconds since 2000-01-01 00:00 UTC
    Digest head{};
    Digest mac{};
};

[[nodiscard]] Digest checkpoint_mac(Hasher& hasher, Bytes key, const Checkpoint& checkpoint);

// A checkpoint as one line: "<chain> <seq> <at> <head> <mac>", bytes in hexadecimal.
[[nodiscard]] std::string to_line(const Checkpoint& checkpoint);
[[nodiscard]] std::optional<Checkpoint> checkpoint_from_line(std::string_view line);

// The contents of the record that states that older records were dropped. `head` is the head of the last dropped
// record. The MAC prevents a person who can write the tables but does not have the key from forging such a record.
struct Dropped {
    std::int64_t first = 1;
    std::int64_t last = 0;
    Digest head{};
    Digest mac{};
};
inline constexpr std::string_view dropped_kind = "records dropped";

[[nodiscard]] Digest dropped_mac(Hasher& hasher, Bytes key, const Uuid& chain, const Dropped& dropped);
// Returns the detail column of such a record: jsonb, in the form that the server prints.
[[nodiscard]] std::string to_detail(const Dropped& dropped);
// Reads the contents from the canonical bytes of a record. Returns nothing if the record is of another kind.
[[nodiscard]] std::optional<Dropped> dropped_from(Bytes bytes);

struct Finding {
    std::int64_t seq = 0;
    std::string message;
};

enum class Verdict {
    broken,           // there are findings
    self_consistent,  // the chain is intact, but no anchor shows that it is the original one, or where the chain ended
    sound,            // the chain is intact and agrees with anchors, which prove it up to anchored_to()
};

// Where a checkpoint is kept. A forged checkpoint in the table is a finding, because only a superuser can write there.
// A forged one outside is a note, because anybody may have written it.
enum class Kept { in_table, outside };

// Verifies a chain or a range of it. The caller calls, in this order: add_checkpoint() for each checkpoint;
// add_dropped(), if the record that states that records were dropped comes after the range; add_record() for each
// record of the range, by ascending number; end_of_record().
//
// At most 20 findings are kept. The first ones show where to look. If all rows were replaced, there would otherwise be
// one finding for every row.
class Verifier {
public:
    // `before` and `head` are the number and the head of the last record before the range, from its row or from a
    // checkpoint; for a range at the beginning of the chain, 0 and first_head(). Without a key no MAC is checked, so a
    // checkpoint kept outside of the database proves nothing.
    Verifier(Hasher& hasher, const Uuid& chain, std::int64_t before, const Digest& head, Bytes key);

    // `source` names the place where the checkpoint is kept, for messages. An authenticated checkpoint of another chain
    // is a finding: it shows that the extension was dropped and created again. Returns false if the checkpoint is
    // forged or belongs to another chain.
    bool add_checkpoint(const Checkpoint& checkpoint, const std::string& source, Kept kept);
    void add_record(std::int64_t seq, Bytes bytes, const Digest& stored_head);
    void add_dropped(Bytes bytes);
    // Ends the range at record `to`; `next` is the first record after `to`, if there is one. Reports as missing the
    // records up to `to` that were not added although a checkpoint or `next` proves that they existed.
    void end_of_record(std::int64_t to = std::numeric_limits<std::int64_t>::max(),
                       std::optional<std::int64_t> next = std::nullopt);

    [[nodiscard]] Verdict verdict() const;
    [[nodiscard]] const std::vector<Finding>& findings() const { return findings_; }
    // Messages about checkpoints that prove nothing, such as "forged: …" or "unauthenticated: …".
    [[nodiscard]] std::vector<std::string> notes() const;
    // The last record of the range that agrees with an authenticated anchor; 0 if none does.
    [[nodiscard]] std::int64_t anchored_to() const { return anchored_to_; }
    [[nodiscard]] std::int64_t records() const { return records_; }
    [[nodiscard]] std::int64_t checkpoints() const { return matching_checkpoints_; }  // number that match the record
    [[nodiscard]] std::int64_t last() const { return last_; }
    // Returns the last record of the range that was dropped because of its age; 0 if none was.
    [[nodiscard]] std::int64_t dropped_to() const { return dropped_to_; }
    [[nodiscard]] const Digest& head() const { return head_; }

private:
    struct KnownHead {
        Digest head;
        std::string source;
        Kept kept;
    };
    struct FirstRecord {
        std::int64_t seq = 0;
        std::vector<std::byte> bytes;  // checked at the end; empty if the record directly follows `before_`
        Digest head;
    };
    void report(std::int64_t seq, std::string message);
    void doubt(std::string note);
    [[nodiscard]] bool is_authenticated(Kept kept) const { return kept == Kept::in_table || !key_.empty(); }
    // Returns whether an authenticated anchor agrees.
    bool compare_with_known(std::int64_t seq, const Digest& head);
    void keep_first(std::int64_t seq, Bytes bytes, const Digest& stored_head);
    void check_beginning();
    void report_cut();
    [[nodiscard]] bool was_dropped_before(std::int64_t seq) const;

    Hasher& hasher_;
    Uuid chain_;
    std::int64_t before_;
    std::int64_t last_;
    Digest head_;
    std::vector<std::byte> key_;
    std::multimap<std::int64_t, KnownHead> known_heads_;
    std::set<Uuid> other_chains_;                          // each is one finding, however many checkpoints it has
    std::map<std::string, std::int64_t> forged_;           // by source
    std::map<std::string, std::int64_t> unauthenticated_;  // by source
    std::vector<std::string> doubts_;
    std::int64_t anchored_to_ = 0;
    std::optional<FirstRecord> first_;
    std::optional<Dropped> dropped_;  // the newest one, which covers the older ones
    std::int64_t dropped_to_ = 0;
    std::vector<Finding> findings_;
    std::int64_t records_ = 0;
    std::int64_t matching_checkpoints_ = 0;
};

}  // namespace jit::core
