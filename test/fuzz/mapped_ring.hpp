// A small ring in memory that is mapped twice in a row, as in the server, between pages that cannot be accessed.
#pragma once

#include "jit_access/core/ring_buffer.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include "../crc32c.hpp"
#include "../encoded.hpp"
#include "fuzz.hpp"

namespace fuzz {

inline constexpr std::uint64_t secret = 0x5EC2E7AF00DFACE5;
inline constexpr std::size_t page = 4096;
inline constexpr std::size_t max_pages = 4;
inline constexpr std::size_t unit = jit::core::record_alignment;

struct MappedRing {
    explicit MappedRing(std::size_t pages) : capacity(pages * page), memory(map(capacity)) {}
    MappedRing(const MappedRing&) = delete;
    MappedRing& operator=(const MappedRing&) = delete;

    // Does what a new server does with the memory of an old one.
    jit::core::Ring::Recovered restart(std::uint64_t tail) {
        attach(~0ULL, ~0ULL, -1);
        return ring.recover(tail);
    }

    void attach(std::uint64_t tail, std::uint64_t head, std::int64_t room) {
        control.tail = tail;
        control.head = head;
        control.room = room;
        ring = jit::core::Ring(memory, capacity, secret, crc32c, &control);
    }

    // Needs claimed room.
    std::uint64_t append(jit::core::RecordKind kind, const std::vector<std::byte>& bytes, std::int64_t time) {
        return ring.append(kind, ring.payload(bytes), time);
    }
    std::uint64_t append(const jit::core::Outcome& outcome, std::int64_t time) {
        return ring.append(jit::core::RecordKind::outcome, ring.payload(jit::core::encode(outcome)), time);
    }

    [[nodiscard]] std::byte* at(std::uint64_t position) const { return memory + position % capacity; }

    std::uint64_t capacity;
    std::byte* memory;
    jit::core::RingControl control{};
    jit::core::Ring ring;

private:
    static std::byte* map(std::size_t size) {
        const int fd = memfd_create("ring", 0);
        CHECK(fd >= 0 && ftruncate(fd, static_cast<off_t>(size)) == 0);
        void* space = mmap(nullptr, 2 * size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(space != MAP_FAILED);
        auto* first = static_cast<std::byte*>(space) + page;
        for (std::byte* half : {first, first + size})
            CHECK(mmap(half, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == half);
        ::close(fd);
        return first;
    }
};

// An empty ring of 1 to 4 pages. It is mapped only once, because mapping is slower than everything else.
inline MappedRing& empty_ring(std::size_t pages) {
    static MappedRing rings[max_pages] = {MappedRing(1), MappedRing(2), MappedRing(3), MappedRing(4)};
    MappedRing& chosen = rings[pages - 1];
    std::memset(chosen.memory, 0, chosen.capacity);
    return chosen;
}

// Input of ring_image.cpp: this header, `repairs` 16-bit words, the bytes of the ring.
struct ImageHeader {
    std::uint8_t pages;     // in the ring, - 1
    std::uint8_t repairs;   // units of the ring where a fitting stamp or checksum is put, see ring_image.cpp
    std::uint16_t head;     // units behind the tail; 0: to be found by recovery
    std::uint32_t reserve;  // padding, said
    std::uint64_t tail;
};
static_assert(sizeof(ImageHeader) == 16);

enum Repair : std::uint16_t {
    repair_stamp = 0,
    repair_checksum = 1U << 14,  // and the stamp
    repair_all = 2U << 14,       // sizes as well, so that a record results
    repair_forget = 3U << 14,    // no stamp
    repair_unit = (1U << 14) - 1
};

// Input of ring_crash.cpp: the number of pages - 1, the first position in units, then operations with an argument.
enum Operation : std::uint8_t {
    op_use,      // statement of 4 × argument bytes
    op_outcome,  // of the oldest use that has none
    op_refusal,  // statement of 4 × argument bytes
    op_reserve,  // a process dies before it has written anything of a record
    op_tear,     // a process dies when it has written a record up to the stamp, or less
    op_read,     // up to so many records
    op_crash,    // of a process: the server starts anew
    op_flush,    // everything is on disk
    op_power,    // a crash of the machine; bits of the argument: pages that are not on disk, header not on disk
    op_count
};

}  // namespace fuzz
