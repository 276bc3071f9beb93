// The journal's ring: many writers, one reader, no lock and no system call on the way of a record.
//
//      tail (read)            head (reserved)
//        |                      |
//   -----[rec][rec][....][rec]------------   positions only grow; the place in memory is position % capacity,
//                    ^ reserved, not yet published   mapped twice in a row so that no record is ever split
//
// A writer claims room (a counter that may not go below zero), takes a position (fetch_add), writes, and publishes by
// storing the stamp last. A use claims the room of its outcome as well, so an outcome can always be written: it is
// recorded from places that must not fail. The reader stops at the first record that is not published.
//
// After a crash nobody is writing: recover() walks from the tail, turns what was reserved and never published into gap
// records, and finds the head. The stamp is the logical position mixed with a secret of the file: what an earlier lap
// left, or what a statement's text holds, is never taken for a record.
//
// The memory is a file's, so that it survives the process; the control block is shared memory and is made anew.
#pragma once

#include "jit_access/core/journal_record.hpp"

#include <atomic>

namespace jit::core {

using Crc32c = std::uint32_t (*)(std::uint32_t seed, const void* data, std::size_t size) noexcept;

inline constexpr std::size_t record_alignment = 32;

struct RecordHeader {
    std::atomic<std::uint64_t> stamp;  // position ^ secret, stored last
    std::uint32_t size;                // whole record, a multiple of record_alignment
    std::uint32_t crc;                 // CRC-32C of the payload, and on from there of the header, this field zero
    RecordKind kind;
    std::uint32_t payload_size;
    std::int64_t at;  // wall time in microseconds since 2000-01-01; 0: of a gap, not known
};
static_assert(sizeof(RecordHeader) == record_alignment, "a header fills one unit, so a gap always has room for one");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "a lock in a mapped file would outlive its holder");

struct RingControl {
    alignas(64) std::atomic<std::uint64_t> head;
    alignas(64) std::atomic<std::int64_t> room;  // bytes neither written and unread nor claimed
    alignas(64) std::atomic<std::uint64_t> tail;
};

struct JournalRecord {
    std::uint64_t position = 0;
    std::uint64_t next = 0;
    std::int64_t at = 0;
    RecordKind kind = RecordKind::gap;
    std::span<const std::byte> payload;
};

// What a record carries, and its CRC-32C: what is written again and again is gone through once.
struct Payload {
    std::span<const std::byte> bytes;
    std::uint32_t crc = 0;
};

[[nodiscard]] constexpr std::size_t record_size(std::size_t payload) noexcept {
    return (sizeof(RecordHeader) + payload + record_alignment - 1) / record_alignment * record_alignment;
}

inline constexpr std::size_t outcome_record_size = record_size(outcome_size);

class Ring {
public:
    // `memory` is 2 × capacity bytes, the second half mapping the first again.
    Ring() noexcept = default;
    Ring(std::byte* memory, std::uint64_t capacity, std::uint64_t secret, Crc32c crc, RingControl* control) noexcept
        : memory_(memory), capacity_(capacity), secret_(secret), crc_(crc), control_(control) {}

    // Room for one record of this payload and for `extra` bytes that a later append will not have to claim.
    [[nodiscard]] bool claim(std::size_t payload, std::size_t extra) noexcept;

    [[nodiscard]] Payload payload(std::span<const std::byte> bytes) const noexcept {
        return {bytes, crc_(0, bytes.data(), bytes.size())};
    }
    // Needs claimed room, cannot fail, and returns the record's position.
    std::uint64_t append(RecordKind kind, const Payload& payload, std::int64_t at) noexcept;

    // The published record at a position before `end`, or nothing yet. `end` is head() or was: who reads many records
    // asks for it once, because writers contend for it. A damaged record comes back as a gap that reaches to the next
    // good one, once there is one.
    [[nodiscard]] std::optional<JournalRecord> read(std::uint64_t position, std::uint64_t end) const noexcept;
    [[nodiscard]] std::optional<JournalRecord> read(std::uint64_t position) const noexcept {
        return read(position, head());
    }
    // Where a reader goes on that is done with everything before `position`: there, or at the next record, if recovery
    // has made a gap over it.
    [[nodiscard]] std::uint64_t resume(std::uint64_t position) const noexcept;
    // The reader is done with everything before `position`.
    void advance(std::uint64_t position) noexcept;

    struct Recovered {
        std::uint64_t head = 0;
        std::uint64_t gaps = 0;
    };
    // Only while nobody writes. Sets head, tail and room.
    Recovered recover(std::uint64_t tail) noexcept;

    // In one order with every append and what its writer looks at next: who sees no new head is seen waiting for one.
    [[nodiscard]] std::uint64_t head() const noexcept { return control_->head.load(std::memory_order_seq_cst); }
    [[nodiscard]] std::uint64_t tail() const noexcept { return control_->tail.load(std::memory_order_acquire); }
    [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }
    // A single record never takes more than a sixteenth of the journal.
    [[nodiscard]] std::size_t largest_payload() const noexcept { return capacity_ / 16 - sizeof(RecordHeader); }

private:
    // Where a position is in memory. A division is dear, and the usual capacity is a power of two.
    [[nodiscard]] std::uint64_t place_of(std::uint64_t position) const noexcept {
        return (capacity_ & (capacity_ - 1)) == 0 ? position & (capacity_ - 1) : position % capacity_;
    }
    [[nodiscard]] RecordHeader* at(std::uint64_t position) const noexcept {
        return reinterpret_cast<RecordHeader*>(memory_ + place_of(position));
    }
    // Brings near where the next statement's records go: nobody has been there since the last lap.
    void fetch(std::uint64_t position) const noexcept;
    // A header as it is under the checksum.
    struct Covered {
        std::uint64_t stamp;
        std::uint32_t size;
        std::uint32_t zero;
        RecordKind kind;
        std::uint32_t payload_size;
        std::int64_t at;
    };
    [[nodiscard]] std::uint32_t checksum(const Covered& header, std::uint32_t payload_crc) const noexcept;
    // A record that is whole, and over before `end`.
    [[nodiscard]] std::optional<Covered> look(std::uint64_t position, std::uint64_t end) const noexcept;
    [[nodiscard]] bool valid(std::uint64_t position, std::uint64_t end) const noexcept {
        return look(position, end).has_value();
    }
    [[nodiscard]] std::optional<std::uint64_t> next_valid(std::uint64_t from, std::uint64_t end) const noexcept;
    // What is stamped for these places, in this lap or a later one, must not come back while a writer is at work there.
    // It is damaged, or the machine crashed and the file's header is older than its records.
    void forget(std::uint64_t from, std::uint64_t end) noexcept;
    void publish(std::uint64_t position, RecordKind kind, const Payload& payload, std::size_t size,
                 std::int64_t time) noexcept;

    std::byte* memory_ = nullptr;
    std::uint64_t capacity_ = 0;
    std::uint64_t secret_ = 0;
    Crc32c crc_ = nullptr;
    RingControl* control_ = nullptr;
};

}  // namespace jit::core
