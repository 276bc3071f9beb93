#include "jit_access/core/ring_buffer.hpp"

#include <algorithm>
#include <cstring>

namespace jit::core {

namespace {

std::byte* payload_of(RecordHeader* header) noexcept {
    return reinterpret_cast<std::byte*>(header) + sizeof(RecordHeader);
}

}  // namespace

// This function is always inlined, because GCC assumes that a function that only prefetches has no effect, and drops
// the call.
[[gnu::always_inline]] inline void Ring::prefetch(std::uint64_t position) const noexcept {
    constexpr std::size_t usual_size = 512;  // of a use and its outcome
    constexpr std::size_t cache_line = 64;
    const auto* const place = reinterpret_cast<const std::byte*>(at(position));
    for (std::size_t i = 0; i < usual_size; i += cache_line) __builtin_prefetch(place + i, 1);
}

std::uint32_t Ring::checksum(const CheckedHeader& header, std::uint32_t payload_crc) const noexcept {
    static_assert(sizeof(CheckedHeader) == 32, "no padding may be under the checksum");
    return crc_(payload_crc, &header, sizeof header);
}

bool Ring::claim(std::size_t payload, std::size_t extra) noexcept {
    const auto wanted = static_cast<std::int64_t>(record_size(payload) + extra);
    if (control_->room.fetch_sub(wanted, std::memory_order_relaxed) >= wanted) return true;
    control_->room.fetch_add(wanted, std::memory_order_relaxed);
    return false;
}

void Ring::publish(std::uint64_t position, RecordKind kind, const Payload& payload, std::size_t size,
                   std::int64_t time) noexcept {
    RecordHeader* header = at(position);
    header->size = static_cast<std::uint32_t>(size);
    header->payload_size = static_cast<std::uint32_t>(payload.bytes.size());
    header->kind = kind;
    header->at = time;
    const auto stamp = position ^ secret_;
    header->crc = checksum({stamp, header->size, 0, kind, header->payload_size, time}, payload.crc);
    header->stamp.store(stamp, std::memory_order_release);
}

// The prefetch is for writing. PREFETCHW exists on all x86-64 processors but the first ones, which execute it as a
// no-op; the compiler emits it only if the target attribute allows it.
#ifdef __x86_64__
[[gnu::target("prfchw")]]
#endif
std::uint64_t
Ring::append(RecordKind kind, const Payload& payload, std::int64_t time) noexcept {
    const auto size = record_size(payload.bytes.size());
    const auto position = control_->head.fetch_add(size, std::memory_order_seq_cst);
    std::memcpy(payload_of(at(position)), payload.bytes.data(), payload.bytes.size());
    publish(position, kind, payload, size, time);
    // Some time after the outcome of a statement, the session will write the use of its next statement here.
    if (kind == RecordKind::outcome) prefetch(position + size);
    return position;
}

std::optional<Ring::CheckedHeader> Ring::read_header(std::uint64_t position, std::uint64_t end) const noexcept {
    RecordHeader* const header = at(position);
    const auto stamp = position ^ secret_;
    if (header->stamp.load(std::memory_order_acquire) != stamp) return std::nullopt;
    // Each field is read only once. A writer of the next lap may overwrite the header at the same time, and the values
    // that are used must be those that were checked.
    const CheckedHeader seen{stamp, header->size, 0, header->kind, header->payload_size, header->at};
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (seen.size < record_alignment || seen.size % record_alignment != 0 ||
        seen.size > std::min(end - position, capacity_))
        return std::nullopt;
    if (seen.payload_size > seen.size - sizeof(RecordHeader)) return std::nullopt;
    if (header->crc != checksum(seen, crc_(0, payload_of(header), seen.payload_size))) return std::nullopt;
    return seen;
}

std::optional<std::uint64_t> Ring::next_valid(std::uint64_t from, std::uint64_t end) const noexcept {
    for (auto position = from; position < end; position += record_alignment)
        if (is_valid(position, end)) return position;
    return std::nullopt;
}

std::optional<JournalRecord> Ring::read(std::uint64_t position, std::uint64_t end) const noexcept {
    if (position >= end) return std::nullopt;
    RecordHeader* const header = at(position);
    if (header->stamp.load(std::memory_order_acquire) != (position ^ secret_)) return std::nullopt;
    const auto seen = read_header(position, end);
    if (!seen) {
        // The record is published but damaged, so no writer will complete it.
        const auto next = next_valid(position + record_alignment, end);
        if (!next) return std::nullopt;
        return JournalRecord{position, *next, 0, RecordKind::gap, {}};
    }
    return JournalRecord{
        position, position + seen->size, seen->at, seen->kind, {payload_of(header), seen->payload_size}};
}

void Ring::advance(std::uint64_t position) noexcept {
    const auto before = control_->tail.exchange(position, std::memory_order_acq_rel);
    control_->room.fetch_add(static_cast<std::int64_t>(position - before), std::memory_order_release);
}

std::uint64_t Ring::resume(std::uint64_t position) const noexcept {
    auto begin = tail();
    while (begin < position) {
        const auto record = read(begin);
        if (!record) return position;
        begin = record->next;
    }
    return begin;
}

void Ring::erase_stamps(std::uint64_t from, std::uint64_t end) noexcept {
    for (auto position = from; position < end; position += record_alignment) {
        auto& stamp = at(position)->stamp;
        const auto stamped = stamp.load() ^ secret_;
        if (stamped >= position && place_of(stamped) == place_of(position)) stamp.store(~stamp.load());
    }
}

Ring::Recovered Ring::recover(std::uint64_t tail) noexcept {
    tail = (tail + record_alignment - 1) / record_alignment * record_alignment;
    const auto limit = tail + capacity_;
    Recovered result{tail, 0};
    for (auto position = tail; position < limit;) {
        if (!is_valid(position, limit)) {
            const auto next = next_valid(position + record_alignment, limit);
            if (!next) break;
            publish(position, RecordKind::gap, {}, *next - position, 0);
            ++result.gaps;
        }
        const auto* header = at(position);
        result.head = position + header->size;
        erase_stamps(position + record_size(header->payload_size), result.head);
        position = result.head;
    }
    erase_stamps(result.head, limit);
    control_->tail.store(tail);
    control_->head.store(result.head);
    control_->room.store(static_cast<std::int64_t>(capacity_ - (result.head - tail)));
    return result;
}

}  // namespace jit::core
