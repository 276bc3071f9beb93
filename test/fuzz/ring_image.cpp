// A ring of arbitrary bytes, as in a damaged file, compared with a second implementation of the format that shares no
// code with the first. Recovery terminates, finds all intact records in order, turns the rest into gaps, and changes
// nothing when it runs again. Reading never returns a damaged record.
//
// A right checksum does not occur by chance, so the input says where stamps and checksums are repaired.
#include <algorithm>

#include "mapped_ring.hpp"

using namespace fuzz;
using jit::core::JournalRecord;
using jit::core::RecordKind;

namespace {

struct Found {
    std::uint64_t position;
    std::uint64_t next;
    bool gap;
};

// Reads the bytes of a ring without core/ring_buffer.
class Image {
public:
    Image(const std::byte* bytes, std::uint64_t capacity) : bytes_(bytes), capacity_(capacity) {}

    template <class T>
    T field(std::uint64_t position, std::size_t offset) const {
        T value{};
        std::memcpy(&value, bytes_ + position % capacity_ + offset, sizeof value);
        return value;
    }
    [[nodiscard]] std::uint32_t size(std::uint64_t position) const { return field<std::uint32_t>(position, 8); }
    [[nodiscard]] std::uint32_t payload(std::uint64_t position) const { return field<std::uint32_t>(position, 20); }
    [[nodiscard]] bool stamped(std::uint64_t position) const {
        return field<std::uint64_t>(position, 0) == (position ^ secret);
    }
    [[nodiscard]] const std::byte* at(std::uint64_t position) const { return bytes_ + position % capacity_; }

    // Over the payload, then over the header with zeroes in place of the checksum.
    [[nodiscard]] std::uint32_t checksum(std::uint64_t position) const {
        std::byte covered[32];
        const std::byte* header = at(position);
        std::memcpy(covered, header, sizeof covered);
        std::memset(covered + 12, 0, 4);
        return crc32c(crc32c(0, header + 32, payload(position)), covered, sizeof covered);
    }

    [[nodiscard]] bool whole(std::uint64_t position, std::uint64_t end) const {
        return stamped(position) && size(position) >= unit && size(position) % unit == 0 &&
               size(position) <= end - position && payload(position) <= size(position) - unit &&
               field<std::uint32_t>(position, 12) == checksum(position);
    }

    [[nodiscard]] std::vector<Found> walk(std::uint64_t from, std::uint64_t end) const {
        std::vector<Found> found;
        std::uint64_t hole = from;
        for (auto position = from; position < end;) {
            if (!whole(position, end)) {
                position += unit;
                continue;
            }
            if (hole < position) found.push_back({hole, position, true});
            found.push_back({position, position + size(position), false});
            hole = position += size(position);
        }
        return found;
    }

private:
    const std::byte* bytes_;
    std::uint64_t capacity_;
};

void repair(MappedRing& ring, std::uint64_t tail, std::uint16_t word) {
    const auto position = tail + (word & repair_unit) % (ring.capacity / unit) * unit;
    const Image image(ring.memory, ring.capacity);
    std::byte* header = ring.at(position);
    const auto put = [&](std::size_t offset, auto value) { std::memcpy(header + offset, &value, sizeof value); };
    const auto how = word & ~repair_unit;
    put(0, how == repair_forget ? std::uint64_t{0} : position ^ secret);
    if (how == repair_all) {
        const auto size = std::max<std::uint32_t>(image.size(position) % (ring.capacity / 8) / unit * unit, unit);
        put(8, size);
        put(20, std::min<std::uint32_t>(image.payload(position), size - unit));
    }
    if (how != repair_checksum && how != repair_all) return;
    if (image.payload(position) <= ring.capacity - unit) put(12, image.checksum(position));
}

void check_record(const MappedRing& ring, const Image& image, const JournalRecord& record) {
    CHECK(record.payload.data() == ring.at(record.position) + unit);
    CHECK(record.payload.size() == image.payload(record.position));
    CHECK(record.kind == image.field<RecordKind>(record.position, 16));
    CHECK(record.at == image.field<std::int64_t>(record.position, 24));
    CHECK(std::memcmp(ring.at(record.position), image.at(record.position), unit + record.payload.size()) == 0);
    (void)jit::core::decode_use(record.payload);
    (void)jit::core::decode_outcome(record.payload);
}

// Damaged while the server runs: reads at every place.
void check_unrecovered(const MappedRing& ring, const Image& image, std::uint64_t tail, std::uint64_t head) {
    for (auto position = tail; position < head; position += unit) {
        const auto record = ring.ring.read(position);
        if (image.whole(position, head)) {
            CHECK(record && record->position == position && record->next == position + image.size(position));
            check_record(ring, image, *record);
        } else if (record) {
            CHECK(image.stamped(position));
            CHECK(record->kind == RecordKind::gap && record->payload.empty() && record->position == position);
            const auto rest = image.walk(position, head);
            CHECK(rest.at(0).gap && rest[0].next == record->next);
        } else {
            CHECK(!image.stamped(position) || image.walk(position, head).empty());
        }
    }
}

void check_recovered(MappedRing& ring, const Image& image, std::uint64_t tail) {
    const auto expected = image.walk(tail, tail + ring.capacity);
    const auto head = expected.empty() ? tail : expected.back().next;
    const auto recovered = ring.restart(tail);
    CHECK(recovered.head == head && ring.ring.head() == head && ring.ring.tail() == tail);
    CHECK(ring.control.room == static_cast<std::int64_t>(ring.capacity - (head - tail)));

    std::uint64_t gaps = 0;
    auto position = tail;
    for (const auto& [start, next, gap] : expected) {
        const auto record = ring.ring.read(position);
        CHECK(record && record->position == start && record->next == next);
        if (gap) {
            CHECK(record->kind == RecordKind::gap && record->payload.empty());
            ++gaps;
        } else {
            check_record(ring, image, *record);
        }
        position = record->next;
    }
    CHECK(recovered.gaps == gaps);
    CHECK(!ring.ring.read(position));

    const std::vector<std::byte> mended(ring.memory, ring.memory + ring.capacity);
    const auto again = ring.restart(tail);
    CHECK(again.head == head && again.gaps == 0);
    CHECK(std::memcmp(mended.data(), ring.memory, ring.capacity) == 0);

    // Writers work behind the head: no record that is found there may be taken for theirs.
    ring.control.head = tail + ring.capacity;
    for (auto behind = head; behind < tail + ring.capacity; behind += unit) CHECK(!ring.ring.read(behind));
    ring.control.head = head;

    const jit::core::Use use{.grant = 42, .statement = "SELECT 1"};
    const auto bytes = encoded(use);
    const bool fits = jit::core::record_size(bytes.size()) <= tail + ring.capacity - head;
    CHECK(ring.ring.claim(bytes.size(), 0) == fits);
    if (!fits) return;
    CHECK(ring.append(RecordKind::use, bytes, 7) == head);
    const auto record = ring.ring.read(head);
    CHECK(record && record->kind == RecordKind::use && record->next == ring.ring.head());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const auto header = input.number<ImageHeader>();
    MappedRing& ring = empty_ring(header.pages % max_pages + 1U);
    // Positions are bigint in the tables.
    const auto tail = header.tail % (1ULL << 62);
    const auto start = (tail + unit - 1) / unit * unit;
    std::vector<std::uint16_t> repairs(header.repairs % 64);
    for (auto& word : repairs) word = input.number<std::uint16_t>();
    const auto bytes = input.take(ring.capacity);
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::uint8_t*>(ring.memory));
    for (const auto word : repairs) repair(ring, start, word);

    const std::vector<std::byte> copy(ring.memory, ring.memory + 2 * ring.capacity);
    const Image image(copy.data(), ring.capacity);
    if (header.head != 0) {
        const auto head = start + header.head % (ring.capacity / unit + 1) * unit;
        ring.attach(start, head, 0);
        check_unrecovered(ring, image, start, head);
    }
    const auto recovered = ring.restart(tail);
    CHECK(recovered.head >= start && recovered.head - start <= ring.capacity);
    std::memcpy(ring.memory, image.at(0), ring.capacity);
    check_recovered(ring, image, start);
    return 0;
}
