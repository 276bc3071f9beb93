// A ring that is written and read while processes and the machine crash, compared with a list as its model.
//
// After a crash of processes, records that were published and not read are read exactly once and in order, unpublished
// ones are not read, gaps cover the room between them, and the count of free room is right. After a crash of the
// machine any page may have the contents of the last flush: then every record that is read was published at its place,
// and reading continues at the position in the tables.
#include <algorithm>
#include <deque>
#include <map>
#include <string>

#include "mapped_ring.hpp"

using namespace fuzz;
using jit::core::Outcome;
using jit::core::RecordKind;
using jit::core::Use;

namespace {

struct ModelRecord {
    std::uint64_t position;
    std::uint64_t size;
    std::string bytes;  // of the whole record; empty: it was never published
};

class Model {
public:
    Model(MappedRing& ring, std::uint64_t start) : ring_(ring), tail_(start) {
        CHECK(ring.restart(start).head == start);
        flush();
    }

    void write(RecordKind kind, std::uint8_t argument) {
        const std::string statement = text(argument);
        const Use use{.grant = ++serial_, .statement = statement};
        const auto bytes = encoded(use);
        const auto size = jit::core::record_size(bytes.size());
        const auto extra = kind == RecordKind::use ? jit::core::outcome_record_size : 0;
        if (!claim(size + extra, bytes.size(), extra)) return;
        published(ring_.append(kind, bytes, 7), size);
        if (kind == RecordKind::use) open_.push_back(records_.back().position);
    }

    void end_use() {
        if (open_.empty()) return;
        const Outcome outcome{.use_position = open_.front(), .rows = serial_};
        open_.pop_front();
        promised_ -= jit::core::outcome_record_size;
        published(ring_.append(outcome, 9), jit::core::outcome_record_size);
    }

    // The memory keeps its old bytes from `written` on, and its old stamp.
    void tear(std::uint8_t argument, bool untouched) {
        const std::string statement = text(argument);
        const Use use{.grant = ++serial_, .statement = statement};
        const auto bytes = encoded(use);
        const auto size = jit::core::record_size(bytes.size());
        if (!claim(size, bytes.size(), 0)) return;
        const auto position = ring_.ring.head();
        const std::string before = bytes_at(position, size);
        CHECK(ring_.append(RecordKind::use, bytes, 7) == position);
        const std::size_t written = untouched ? 0 : 8 + argument * 5 % (size - 7);
        std::memcpy(ring_.at(position), before.data(), 8);
        if (written < size) {
            const auto kept = std::max<std::size_t>(written, 8);
            std::memcpy(ring_.at(position) + kept, before.data() + kept, size - kept);
        }
        records_.push_back({position, size, {}});
    }

    void read(std::size_t most) {
        while (most-- > 0) {
            const auto record = ring_.ring.read(tail_);
            if (records_.empty() || records_.front().bytes.empty()) {
                CHECK(!record);
                return;
            }
            const ModelRecord& entry = records_.front();
            CHECK(record && record->position == entry.position && record->next == entry.position + entry.size);
            CHECK(bytes_at(entry.position, entry.size) == entry.bytes);
            tail_ = record->next;
            records_.pop_front();
            ring_.ring.advance(tail_);
            check_room();
        }
    }

    void crash() {
        while (!records_.empty() && records_.back().bytes.empty()) records_.pop_back();
        open_.clear();
        promised_ = 0;
        const auto head = records_.empty() ? tail_ : records_.back().position + records_.back().size;
        const auto recovered = ring_.restart(tail_);
        CHECK(recovered.head == head && ring_.ring.tail() == tail_);
        std::uint64_t gaps = 0;
        std::deque<ModelRecord> after;
        for (const auto& entry : records_) {
            if (entry.bytes.empty() && !after.empty() && after.back().bytes.empty()) {
                after.back().size += entry.size;
                continue;
            }
            gaps += entry.bytes.empty() ? 1 : 0;
            after.push_back(entry);
        }
        CHECK(recovered.gaps == gaps);
        for (auto& entry : after) {
            if (!entry.bytes.empty()) continue;
            CHECK(ring_.ring.read(entry.position)->kind == RecordKind::gap);
            entry.bytes = bytes_at(entry.position, entry.size);
        }
        records_ = std::move(after);
        check_room();
        const auto again = ring_.restart(tail_);
        CHECK(again.head == head && again.gaps == 0);
    }

    void flush() {
        disk_ = bytes_at(0, ring_.capacity);
        tail_on_disk_ = tail_;
    }

    // The WAL was flushed: according to the tables everything before tail_ has been read.
    void power_failure(std::uint8_t lost) {
        for (std::size_t i = 0; i < ring_.capacity / page; ++i)
            if ((lost >> i & 1) != 0) std::memcpy(ring_.memory + i * page, disk_.data() + i * page, page);
        ring_.restart((lost & 0x80) != 0 ? tail_on_disk_ : tail_);
        go_on_from_the_tables();
        open_.clear();
        promised_ = 0;
        records_.clear();
        for (auto position = tail_; position < ring_.ring.head();) {
            const auto record = ring_.ring.read(position);
            CHECK(record && record->next > position && record->next <= ring_.ring.head());
            const std::string bytes = bytes_at(position, record->next - position);
            // The padding up to a whole unit does not count.
            const std::string covered = bytes.substr(0, unit + record->payload.size());
            const auto [first, last] = history_.equal_range(position);
            CHECK(record->kind == RecordKind::gap ||
                  std::any_of(first, last, [&](const auto& known) { return known.second.starts_with(covered); }));
            records_.push_back({position, record->next - position, bytes});
            position = record->next;
        }
        check_room();
        flush();
    }

private:
    [[nodiscard]] std::string bytes_at(std::uint64_t position, std::size_t size) const {
        return {reinterpret_cast<const char*>(ring_.at(position)), size};
    }

    // Some statements hold bytes of the ring, with whole records.
    [[nodiscard]] std::string text(std::uint8_t argument) const {
        const std::size_t size = argument * 4U;
        return argument % 3 == 0 ? bytes_at(argument * 7U * unit + 4, size)
                                 : std::string(size, static_cast<char>(argument));
    }

    bool claim(std::size_t all, std::size_t payload, std::size_t extra) {
        const bool fits = all + promised_ + ring_.ring.head() - tail_ <= ring_.capacity;
        CHECK(ring_.ring.claim(payload, extra) == fits);
        if (fits) promised_ += extra;
        return fits;
    }

    void published(std::uint64_t position, std::uint64_t size) {
        records_.push_back({position, size, bytes_at(position, size)});
        history_.emplace(position, records_.back().bytes);
        check_room();
    }

    void check_room() const {
        const auto used = ring_.ring.head() - ring_.ring.tail() + promised_;
        CHECK(used <= ring_.capacity);
        CHECK(ring_.control.room == static_cast<std::int64_t>(ring_.capacity - used));
    }

    // As the worker does.
    void go_on_from_the_tables() {
        if (tail_ > ring_.ring.head()) ring_.ring.recover(tail_);
        tail_ = ring_.ring.resume(tail_);
        ring_.ring.advance(tail_);
    }

    MappedRing& ring_;
    std::uint64_t tail_;
    std::uint64_t serial_ = 0;
    std::uint64_t promised_ = 0;       // to the outcomes of uses that run
    std::deque<ModelRecord> records_;  // not read yet
    std::deque<std::uint64_t> open_;   // uses without an outcome
    std::multimap<std::uint64_t, std::string> history_;
    std::string disk_;
    std::uint64_t tail_on_disk_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    MappedRing& ring = empty_ring(input.number<std::uint8_t>() % max_pages + 1U);
    Model model(ring, input.number<std::uint32_t>() * std::uint64_t{unit});
    for (int steps = 0; steps < 400 && !input.empty(); ++steps) {
        const auto operation = input.number<std::uint8_t>() % op_count;
        const auto argument = input.number<std::uint8_t>();
        switch (operation) {
            case op_use: model.write(RecordKind::use, argument); break;
            case op_outcome: model.end_use(); break;
            case op_refusal: model.write(RecordKind::refusal, argument); break;
            case op_reserve: model.tear(argument, true); break;
            case op_tear: model.tear(argument, false); break;
            case op_read: model.read(argument); break;
            case op_crash: model.crash(); break;
            case op_flush: model.flush(); break;
            case op_power: model.power_failure(argument); break;
            default: break;
        }
    }
    model.crash();
    model.read(SIZE_MAX);
    CHECK(ring.ring.tail() == ring.ring.head());
    return 0;
}
