// The ring of the journal, with many writers and one reader. Appending takes no lock and makes no system call.
//
//      tail (read)            head (reserved)
//        |                      |
//   -----[rec][rec][....][rec]------------   positions only grow; the place in memory is position % capacity,
//                    ^ reserved, not yet published   mapped twice in a row so that no record is ever split
//
// A writer claims room (a counter that may not go below zero), reserves a position (fetch_add), writes the record, and
// publishes it by storing the stamp last. A use also claims the room for its outcome. An outcome can therefore always
// be written. This is necessary because outcomes are recorded in places that must not fail. The reader stops at the
// first record that is not published.
//
// After a crash there is no writer. recover() walks from the tail, turns space that was reserved and never published
// into gap records, and finds the head. The stamp is the position XOR a secret of the file, so that neither a record of
// an earlier lap nor the text of a statement can be mistaken for a published record.
//
// The memory is a mapped file, so it survives the process. The control block is in shared memory and is created again.
#pragma once

#include "jit_access/core/journal_record.hpp"

#include <atomic>

namespace jit::core {

using Crc32c = std::uint32_t (*)(std::uint32_t seed, const void* data, std::size_t size) noexcept;

inline constexpr std::size_t record_alignment = 32;

struct RecordHeader {
    std::atomic<std::uint64_t> stamp;  // position XOR secret, stored last
    std::uint32_t size;                // of the whole record, a multiple of record_alignment
    std::uint32_t crc;                 // CRC-32C of the payload, continued over the header with this field zero
    RecordKind kind;
    std::uint32_t payload_size;
    std::int64_t at;  // microseconds since 2000-01-01 00:00 UTC; 0: unknown, in a gap
};
static_assert(sizeof(RecordHeader) == record_alignment, "a header fills one unit, so a gap always has room for one");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "a lock in a mapped file would outlive its holder");

struct RingControl {
    alignas(64) std::atomic<std::uint64_t> head;
    alignas(64) std::atomic<std::int64_t> room;  // bytes that are not claimed and hold no unread records
    alignas(64) std::atomic<std::uint64_t> tail;
};

struct JournalRecord {
    std::uint64_t position = 0;
    std::uint64_t next = 0;
    std::int64_t at = 0;
    RecordKind kind = RecordKind::gap;
    std::span<const std::byte> payload;
};

// The payload of a record and its CRC-32C. A payload that is appended many times is checksummed once.
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
    // `memory` has 2 × capacity bytes; its second half maps the first half again.
    Ring() noexcept = default;
    Ring(std::byte* memory, std::uint64_t capacity, std::uint64_t secret, Crc32c crc, RingControl* control) noexcept
        : memory_(memory), capacity_(capacity), secret_(secret), crc_(crc), control_(control) {}

    // Claims room for one record with a payload of this size, and `extra` bytes for a later append, which then needs no
    // claim of its own. Returns false if the ring is full; then nothing was claimed.
    [[nodiscard]] bool claim(std::size_t payload, std::size_t extra) noexcept;

    [[nodiscard]] Payload payload(std::span<const std::byte> bytes) const noexcept {
        return {bytes, crc_(0, bytes.data(), bytes.size())};
    }
    // Needs claimed room and cannot fail. Returns the position of the record.
    std::uint64_t append(RecordKind kind, const Payload& payload, std::int64_t at) noexcept;

    // Returns the record at a position before `end`, or nothing if it is not published yet. `end` is an earlier result
    // of head(): a caller that reads many records loads it once, because writers contend for its cache line. A damaged
    // record is returned as a gap that reaches to the next good record, once there is one.
    [[nodiscard]] std::optional<JournalRecord> read(std::uint64_t position, std::uint64_t end) const noexcept;
    [[nodiscard]] std::optional<JournalRecord> read(std::uint64_t position) const noexcept {
        return read(position, head());
    }
    // Returns where a reader continues after it has read everything before `position`: at that position, or at the next
    // record if recovery has put a gap there.
    [[nodiscard]] std::uint64_t resume(std::uint64_t position) const noexcept;
    // Releases everything before `position` to the writers.
    void advance(std::uint64_t position) noexcept;

    struct Recovered {
        std::uint64_t head = 0;
        std::uint64_t gaps = 0;
    };
    // Sets head, tail and room from the memory. May be called only while there are no writers.
    Recovered recover(std::uint64_t tail) noexcept;

    // This load, the update of the head in append() and the accesses to the flag that shows that the reader sleeps are
    // sequentially consistent. Therefore no wake-up is lost: either the reader sees the new head, or the writer sees
    // that the reader sleeps.
    [[nodiscard]] std::uint64_t head() const noexcept { return control_->head.load(std::memory_order_seq_cst); }
    [[nodiscard]] std::uint64_t tail() const noexcept { return control_->tail.load(std::memory_order_acquire); }
    [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }
    // A single record never takes more than a sixteenth of the journal.
    [[nodiscard]] std::size_t largest_payload() const noexcept { return capacity_ / 16 - sizeof(RecordHeader); }

private:
    // Offset of a position in memory. A division is slow, and the usual capacity is a power of two.
    [[nodiscard]] std::uint64_t place_of(std::uint64_t position) const noexcept {
        return (capacity_ & (capacity_ - 1)) == 0 ? position & (capacity_ - 1) : position % capacity_;
    }
    [[nodiscard]] RecordHeader* at(std::uint64_t position) const noexcept {
        return reinterpret_cast<RecordHeader*>(memory_ + place_of(position));
    }
    // Prefetches the memory of the next records, which has not been accessed since the last lap.
    void prefetch(std::uint64_t position) const noexcept;
    // The header in the form that the checksum covers.
    struct CheckedHeader {
        std::uint64_t stamp;
        std::uint32_t size;
        std::uint32_t zero;
        RecordKind kind;
        std::uint32_t payload_size;
        std::int64_t at;
    };
    [[nodiscard]] std::uint32_t checksum(const CheckedHeader& header, std::uint32_t payload_crc) const noexcept;
    // The header of a record whose stamp and checksum are right and that ends before `end`.
    [[nodiscard]] std::optional<CheckedHeader> read_header(std::uint64_t position, std::uint64_t end) const noexcept;
    [[nodiscard]] bool is_valid(std::uint64_t position, std::uint64_t end) const noexcept {
        return read_header(position, end).has_value();
    }
    [[nodiscard]] std::optional<std::uint64_t> next_valid(std::uint64_t from, std::uint64_t end) const noexcept;
    // Invalidates stamps in this range that would be valid now or in a later lap. Otherwise a writer that has reserved
    // a place and not yet stored its stamp would seem to have published the old contents. Such stamps exist after
    // damage, or if the header of the file is older than its records after a crash of the machine.
    void erase_stamps(std::uint64_t from, std::uint64_t end) noexcept;
    void publish(std::uint64_t position, RecordKind kind, const Payload& payload, std::size_t size,
                 std::int64_t time) noexcept;

    std::byte* memory_ = nullptr;
    std::uint64_t capacity_ = 0;
    std::uint64_t secret_ = 0;
    Crc32c crc_ = nullptr;
    RingControl* control_ = nullptr;
};

}  // namespace jit::core
