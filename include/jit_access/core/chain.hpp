// The hash chain over the record, and what is to be found when it has been tampered with.
//
//     head(0) = SHA-256("jit_access chain 1\n"  · chain)            chain: a UUID made with the extension
//     head(n) = SHA-256("jit_access record 1\n" · head(n-1) · bytes(n))
//     mac     = HMAC-SHA-256(key, "jit_access checkpoint 1\n" · chain · n · at · head(n))
//     dropped = HMAC-SHA-256(key, "jit_access dropped 1\n" · chain · n · head(n))
//
// A checkpoint says that the record had this head at this time. Where it is kept outside of the database it is an
// anchor: whoever changes the record cannot change those. The server and the program jit-verify come to their verdicts
// by the Verifier below.
//
// The oldest records may be dropped for their age. Then the chain itself says so, further on: up to which, and which
// head the last of them had. A record that begins anywhere else has lost its beginning.
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

// SHA-256 by a library, which core/ has none of.
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
    std::int64_t seq = 0;  // 0: of a chain without a record
    std::int64_t at = 0;   // microseconds since 2000-01-01
    Digest head{};
    Digest mac{};
};

[[nodiscard]] Digest checkpoint_mac(Hasher& hasher, Bytes key, const Checkpoint& checkpoint);

// One line of text a checkpoint: "<chain> <seq> <at> <head> <mac>", in hexadecimal where bytes.
[[nodiscard]] std::string to_line(const Checkpoint& checkpoint);
[[nodiscard]] std::optional<Checkpoint> checkpoint_from_line(std::string_view line);

// What stands on the record for records that were dropped; `head` is that of the last of them. The MAC is for whoever
// reaches the tables and not the key: he cannot make one.
struct Dropped {
    std::int64_t first = 1;
    std::int64_t last = 0;
    Digest head{};
    Digest mac{};
};
inline constexpr std::string_view dropped_kind = "records dropped";

[[nodiscard]] Digest dropped_mac(Hasher& hasher, Bytes key, const Uuid& chain, const Dropped& dropped);
[[nodiscard]] std::string to_detail(const Dropped& dropped);  // jsonb, as the server writes it
// From the bytes of an entry; nothing when it is about something else.
[[nodiscard]] std::optional<Dropped> dropped_from(Bytes bytes);

struct Finding {
    std::int64_t seq = 0;
    std::string what;
};

// Fed with everything that is known about one chain, in this order: checkpoints, then records by their numbers.
class Verifier {
public:
    // The chain, and the head before the first record that will come: first_head(), or a checkpoint's.
    Verifier(Hasher& hasher, const Uuid& chain, std::int64_t before, const Digest& head, Bytes key);

    // Where it was kept, for the message. Of another chain: the extension was dropped and made anew.
    void know(const Checkpoint& checkpoint, const std::string& kept_in);
    void record(std::int64_t seq, Bytes bytes, const Digest& stored_head);
    // The record that says what was dropped, when it stands behind what is looked at. Before the records.
    void know_dropped(Bytes bytes);
    // Where what was to be looked at ends, and which record stands behind it, if any: what should be there up to `to`,
    // because it was anchored or because of that record, is missing.
    void end_of_record(std::int64_t to = std::numeric_limits<std::int64_t>::max(),
                       std::optional<std::int64_t> next = std::nullopt);

    [[nodiscard]] const std::vector<Finding>& findings() const { return findings_; }
    [[nodiscard]] std::int64_t records() const { return records_; }
    [[nodiscard]] std::int64_t checkpoints() const { return met_; }  // that were met and agree
    [[nodiscard]] std::int64_t last() const { return last_; }
    // What was to be looked at begins behind this one, because it was dropped; 0: nothing of it was.
    [[nodiscard]] std::int64_t dropped_to() const { return dropped_to_; }
    [[nodiscard]] const Digest& head() const { return head_; }

private:
    struct Known {
        Digest head;
        std::string kept_in;
    };
    // The first record that came.
    struct First {
        std::int64_t seq = 0;
        std::vector<std::byte> bytes;
        Digest head;
    };
    void find(std::int64_t seq, std::string what);
    void compare_with_known(std::int64_t seq, const Digest& head);
    void begin(std::int64_t seq, Bytes bytes, const Digest& stored_head);
    void settle_beginning();
    [[nodiscard]] bool was_dropped(std::int64_t before) const;

    Hasher& hasher_;
    Uuid chain_;
    std::int64_t before_;
    std::int64_t last_;
    Digest head_;
    std::vector<std::byte> key_;
    std::multimap<std::int64_t, Known> known_;
    std::set<Uuid> others_;  // chains: each is one finding, however many checkpoints it has
    std::optional<First> first_;
    std::optional<Dropped> dropped_;  // the newest says it all
    std::int64_t dropped_to_ = 0;
    std::vector<Finding> findings_;
    std::int64_t records_ = 0;
    std::int64_t met_ = 0;
};

}  // namespace jit::core
