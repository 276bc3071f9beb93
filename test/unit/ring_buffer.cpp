// The ring of the journal, on memory that is mapped twice in a row, as in the server.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE ring
#include "jit_access/core/ring_buffer.hpp"

#include "../crc32c.hpp"
#include "../encoded.hpp"

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <random>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

using namespace jit::core;

namespace {

constexpr std::uint64_t secret = 0x5EC2E7AF00DFACE5;
constexpr std::uint64_t capacity = 65'536;

// A ring with its memory; restart() does what a new server does with the same file.
class Journal {
public:
    explicit Journal(std::uint64_t start = 0) {
        const int fd = memfd_create("ring", 0);
        BOOST_REQUIRE(fd >= 0 && ftruncate(fd, capacity) == 0);
        auto* space = static_cast<std::byte*>(
            mmap(nullptr, 2 * capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        for (std::byte* half : {space, space + capacity})
            BOOST_REQUIRE(mmap(half, capacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == half);
        ::close(fd);
        memory = space;
        restart(start);
    }
    ~Journal() { munmap(memory, 2 * capacity); }
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    Ring::Recovered restart(std::uint64_t tail) {
        control.head = control.tail = ~0ULL;
        control.room = -1;
        ring = Ring(memory, capacity, secret, crc32c, &control);
        return ring.recover(tail);
    }

    // Claims and appends a use with this statement; nothing when there is no room.
    std::optional<std::uint64_t> write(const std::string& statement, std::size_t extra = outcome_record_size) {
        const Use use{
            .grant = 42, .statement = statement, .statement_size = static_cast<std::uint32_t>(statement.size())};
        const auto bytes = encoded(use);
        if (!ring.claim(bytes.size(), extra)) return std::nullopt;
        return ring.append(RecordKind::use, ring.payload(bytes), 7);
    }

    // Needs no claim: its use claimed the room.
    std::uint64_t write(const Outcome& outcome, std::int64_t at) {
        return ring.append(RecordKind::outcome, ring.payload(encode(outcome)), at);
    }

    // The statement of the use at a position.
    std::string statement_at(std::uint64_t position) {
        const auto record = ring.read(position);
        if (!record || record->kind != RecordKind::use) return "no use";
        const auto use = decode_use(record->payload);
        return use ? std::string(use->use.statement) : "unreadable";
    }

    // All records from a position to the first one that is not published.
    std::vector<JournalRecord> from(std::uint64_t position) const {
        std::vector<JournalRecord> records;
        for (auto record = ring.read(position); record; record = ring.read(position)) {
            BOOST_REQUIRE(record->next > position);
            records.push_back(*record);
            position = record->next;
        }
        return records;
    }

    std::byte* at(std::uint64_t position) { return memory + position % capacity; }
    RecordHeader* header(std::uint64_t position) { return reinterpret_cast<RecordHeader*>(at(position)); }
    std::int64_t room() const { return control.room.load(); }

    RingControl control{};
    Ring ring;
    std::byte* memory = nullptr;
};

std::size_t size_of(const std::string& statement) {
    return record_size(encoded(Use{.grant = 42, .statement = statement}).size());
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_empty_ring) {
    Journal j;
    BOOST_TEST(j.ring.head() == 0U);
    BOOST_TEST(j.ring.tail() == 0U);
    BOOST_TEST(j.room() == static_cast<std::int64_t>(capacity));
    BOOST_TEST(!j.ring.read(0).has_value());
}

BOOST_AUTO_TEST_CASE(what_is_written_is_read) {
    Journal j;
    const auto first = j.write("SELECT 1").value();
    const auto second = j.write("SELECT 2").value();
    BOOST_TEST(first == 0U);
    BOOST_TEST(second == size_of("SELECT 1"));
    BOOST_TEST(j.statement_at(first) == "SELECT 1");
    BOOST_TEST(j.statement_at(second) == "SELECT 2");
    const auto record = j.ring.read(first).value();
    BOOST_TEST(record.position == first);
    BOOST_TEST(record.next == second);
    BOOST_TEST(record.at == 7);
    BOOST_TEST(!j.ring.read(j.ring.head()).has_value());

    const auto third = j.write(Outcome{.use_position = first, .rows = 3}, 9);
    const auto outcome = j.ring.read(third).value();
    BOOST_TEST((outcome.kind == RecordKind::outcome));
    BOOST_TEST(decode_outcome(outcome.payload).value().use_position == first);
}

// The checksum is computed once, and the payload is appended twice.
BOOST_AUTO_TEST_CASE(what_comes_again) {
    Journal j;
    const auto bytes = encoded(Use{.grant = 42, .statement = "SELECT 1"});
    const auto payload = j.ring.payload(bytes);
    for (const std::int64_t time : {7, 8}) {
        BOOST_REQUIRE(j.ring.claim(bytes.size(), 0));
        const auto position = j.ring.append(RecordKind::use, payload, time);
        const auto record = j.ring.read(position).value();
        BOOST_TEST((record.kind == RecordKind::use));
        BOOST_TEST(record.at == time);
        BOOST_TEST(std::ranges::equal(record.payload, bytes));
        BOOST_TEST(record.next == j.ring.head());
        BOOST_TEST(!j.ring.read(position, position).has_value());
    }
}

BOOST_AUTO_TEST_CASE(many_laps) {
    Journal j;
    std::mt19937_64 random(1);
    std::uint64_t read = 0;
    for (int i = 0; i < 20'000; ++i) {
        const std::string statement = std::to_string(i) + std::string(random() % 2000, 'x');
        const auto position = j.write(statement, 0).value();
        BOOST_REQUIRE(position == read);
        BOOST_REQUIRE(j.statement_at(position) == statement);
        read = j.ring.read(position)->next;
        j.ring.advance(read);
    }
    BOOST_TEST(read > 100 * capacity);
    BOOST_TEST(j.room() == static_cast<std::int64_t>(capacity));
    BOOST_TEST(j.ring.tail() == j.ring.head());
}

BOOST_AUTO_TEST_CASE(a_full_ring_refuses_and_the_reader_makes_room) {
    Journal j;
    std::size_t written = 0;
    while (j.write("SELECT 1")) ++written;
    BOOST_TEST(written == capacity / (size_of("SELECT 1") + outcome_record_size));
    const auto left = j.room();
    BOOST_TEST(left >= 0);
    BOOST_TEST(!j.write("SELECT 1").has_value());
    BOOST_TEST(j.room() == left, "a claim that failed leaves nothing behind");

    j.ring.advance(j.ring.read(0)->next);
    BOOST_TEST(j.room() == left + static_cast<std::int64_t>(size_of("SELECT 1")));
    BOOST_TEST(j.write("SELECT 1", 0).has_value());
}

BOOST_AUTO_TEST_CASE(what_finds_no_room_claims_none) {
    Journal j;
    BOOST_TEST(!j.ring.claim(capacity, 0));
    BOOST_TEST(!j.ring.claim(capacity - sizeof(RecordHeader), record_alignment));
    BOOST_TEST(j.room() == static_cast<std::int64_t>(capacity));
    BOOST_TEST(j.ring.claim(capacity - sizeof(RecordHeader), 0));
    BOOST_TEST(!j.ring.claim(0, 0));
}

// Each use claims the room of its outcome: with the ring full of uses every outcome can still be appended.
BOOST_AUTO_TEST_CASE(an_outcome_never_lacks_room) {
    Journal j;
    std::vector<std::uint64_t> uses;
    while (const auto position = j.write("UPDATE app.orders SET status = 'done'")) uses.push_back(*position);
    for (const auto use : uses) j.write(Outcome{.use_position = use}, 1);
    BOOST_TEST(j.ring.head() - j.ring.tail() <= capacity);
    BOOST_TEST(j.room() >= 0);

    std::size_t outcomes = 0;
    for (const auto& record : j.from(j.ring.tail())) {
        if (record.kind == RecordKind::use)
            BOOST_TEST(j.statement_at(record.position) == "UPDATE app.orders SET status = 'done'");
        if (record.kind != RecordKind::outcome) continue;
        BOOST_TEST(decode_outcome(record.payload)->use_position == uses.at(outcomes));
        ++outcomes;
    }
    BOOST_TEST(outcomes == uses.size());
}

BOOST_AUTO_TEST_CASE(recover_after_a_clean_stop) {
    Journal j;
    for (int i = 0; i < 50; ++i) (void)j.write("SELECT " + std::to_string(i), 0);
    const auto tail = j.ring.read(0)->next;
    const auto head = j.ring.head();
    const auto recovered = j.restart(tail);
    BOOST_TEST(recovered.head == head);
    BOOST_TEST(recovered.gaps == 0U);
    BOOST_TEST(j.ring.head() == head);
    BOOST_TEST(j.ring.tail() == tail);
    BOOST_TEST(j.room() == static_cast<std::int64_t>(capacity - (head - tail)));
    BOOST_TEST(j.statement_at(tail) == "SELECT 1");
}

BOOST_AUTO_TEST_CASE(recover_when_all_was_read) {
    Journal j;
    for (int i = 0; i < 1000; ++i) {
        (void)j.write(std::string(300, 'x'), 0);
        j.ring.advance(j.ring.head());
    }
    const auto head = j.ring.head();
    BOOST_TEST(head > 2 * capacity);
    const auto recovered = j.restart(head);
    BOOST_TEST(recovered.head == head, "what earlier laps left is not taken for records");
    BOOST_TEST(recovered.gaps == 0U);
    BOOST_TEST(!j.ring.read(head).has_value());
}

BOOST_AUTO_TEST_CASE(recover_a_full_ring) {
    Journal j;
    j.ring.advance(0);
    for (int i = 0; i < 300; ++i) {
        (void)j.write(std::string(500, 'y'), 0);
        j.ring.advance(j.ring.head());
    }
    const auto tail = j.ring.head();
    while (j.write("z", 0)) {
    }
    const auto head = j.ring.head();
    const auto recovered = j.restart(tail);
    BOOST_TEST(recovered.head == head);
    BOOST_TEST(recovered.gaps == 0U);
    BOOST_TEST(j.room() == static_cast<std::int64_t>(capacity - (head - tail)));
}

// The last writer died before it published: its statement did not run, and it leaves no record.
BOOST_AUTO_TEST_CASE(recover_with_a_torn_tail) {
    Journal j;
    const auto whole = j.write("SELECT 1").value();
    const auto torn = j.write("SELECT 2").value();
    j.header(torn)->stamp.store(0);
    const auto recovered = j.restart(0);
    BOOST_TEST(recovered.head == torn);
    BOOST_TEST(recovered.gaps == 0U);
    BOOST_TEST(j.statement_at(whole) == "SELECT 1");
    BOOST_TEST(!j.ring.read(torn).has_value());
    BOOST_TEST(j.write("SELECT 3").value() == torn);
    BOOST_TEST(j.statement_at(torn) == "SELECT 3");
}

BOOST_AUTO_TEST_CASE(recover_with_a_hole_in_the_middle) {
    Journal j;
    const auto first = j.write("SELECT 1", 0).value();
    const auto hole = j.write(std::string(1000, 'h'), 0).value();
    const auto second_hole = j.write("SELECT 3", 0).value();
    const auto last = j.write("SELECT 4", 0).value();
    const auto head = j.ring.head();
    j.header(hole)->stamp.store(0);
    j.header(second_hole)->stamp.store(0);
    const auto recovered = j.restart(0);
    BOOST_TEST(recovered.head == head);
    BOOST_TEST(recovered.gaps >= 1U);
    BOOST_TEST(j.statement_at(first) == "SELECT 1");
    BOOST_TEST(j.statement_at(last) == "SELECT 4");
    std::vector<RecordKind> kinds;
    for (const auto& record : j.from(first)) kinds.push_back(record.kind);
    BOOST_TEST((kinds.front() == RecordKind::use));
    BOOST_TEST((kinds.back() == RecordKind::use));
    for (std::size_t i = 1; i + 1 < kinds.size(); ++i) BOOST_TEST((kinds[i] == RecordKind::gap));
    // A second recovery changes nothing.
    BOOST_TEST(j.restart(0).gaps == 0U);
    BOOST_TEST(j.ring.head() == head);
}

BOOST_AUTO_TEST_CASE(recover_with_a_hole_at_the_tail) {
    Journal j;
    const auto hole = j.write("SELECT 1", 0).value();
    const auto next = j.write("SELECT 2", 0).value();
    j.header(hole)->stamp.store(0);
    BOOST_TEST(j.restart(0).gaps == 1U);
    const auto record = j.ring.read(hole).value();
    BOOST_TEST((record.kind == RecordKind::gap));
    BOOST_TEST(record.next == next);
    BOOST_TEST(j.statement_at(next) == "SELECT 2");
}

BOOST_AUTO_TEST_CASE(every_damaged_bit_of_a_record_is_noticed) {
    Journal j;
    const auto record = j.write("SELECT 'damaged'", 0).value();
    const auto next = j.write("SELECT 'whole'", 0).value();
    const auto used = sizeof(RecordHeader) + j.ring.read(record)->payload.size();
    for (std::size_t bit = 0; bit < 8 * used; ++bit) {
        auto& byte = *j.at(record + bit / 8);
        byte ^= std::byte{1} << bit % 8;
        const auto read = j.ring.read(record);
        // Without its stamp the record looks as if its writer were still at work.
        BOOST_TEST(read.has_value() == (bit / 8 >= sizeof(RecordHeader::stamp)), bit);
        if (read) BOOST_TEST((read->kind == RecordKind::gap && read->next == next), bit);
        byte ^= std::byte{1} << bit % 8;
    }
    BOOST_TEST(j.statement_at(record) == "SELECT 'damaged'");
}

// A crash of the machine may keep the stamp and lose the payload. The record is dropped, and must not reappear while
// the next writer is at work in the same place.
BOOST_AUTO_TEST_CASE(a_dropped_record_is_not_seen_again) {
    Journal j;
    const auto lost = j.write("SELECT 'lost'", 0).value();
    *j.at(lost + sizeof(RecordHeader)) ^= std::byte{1};
    BOOST_TEST(j.restart(0).head == lost);
    // One writer has reserved its place and not published yet; the next one has published.
    const auto size = size_of("SELECT 'lost'");
    BOOST_REQUIRE(j.ring.claim(encoded(Use{.grant = 42, .statement = "SELECT 'lost'"}).size(), 0));
    j.control.head.fetch_add(size);
    const auto next = j.write("SELECT 'next'", 0).value();
    BOOST_TEST(next == lost + size);
    BOOST_TEST(!j.ring.read(lost).has_value(), "the reader waits for the writer");
}

// The bytes of a record within the text of a statement, at a place where recovery looks for records: with a stamp of
// another secret, of the plain position or of the previous lap, or with the right stamp and the checksum of another
// secret.
BOOST_AUTO_TEST_CASE(recover_with_forged_records_in_a_text) {
    Journal model;
    (void)model.write("DROP TABLE evidence", 0);
    std::string forged(reinterpret_cast<const char*>(model.at(0)), size_of("DROP TABLE evidence"));
    for (const std::uint64_t key : {std::uint64_t{0}, ~std::uint64_t{0}, secret + 1, secret ^ capacity}) {
        Journal j;
        std::string text;
        const auto prefix = encoded(Use{.grant = 42}).size() + sizeof(RecordHeader);
        text.append((record_alignment - prefix % record_alignment) % record_alignment + record_alignment * 4, ' ');
        for (int i = 0; i < 20; ++i) {
            // The exact offset of the text in the record depends on the fields around it, so every offset is tried.
            for (std::uint64_t place = 0; place < 8192; place += 4096) {
                const std::uint64_t stamp = place ^ key;
                std::memcpy(forged.data(), &stamp, sizeof stamp);
                text += forged;
            }
        }
        const auto victim = j.write(text, 0).value();
        const auto after = j.write("SELECT 'after'", 0).value();
        j.header(victim)->stamp.store(0);
        const auto recovered = j.restart(0);
        BOOST_TEST(recovered.gaps == 1U);
        const auto gap = j.ring.read(victim).value();
        BOOST_TEST((gap.kind == RecordKind::gap));
        BOOST_TEST(gap.next == after);
        BOOST_TEST(j.statement_at(after) == "SELECT 'after'");
    }
}

// Complete journals of another secret and of an earlier lap, at every place.
BOOST_AUTO_TEST_CASE(recover_over_foreign_and_stale_records) {
    Journal j;
    while (j.write("SELECT 'an earlier lap'", 0)) {
    }
    const auto first_lap = j.ring.head();
    j.ring.advance(first_lap);
    for (std::uint64_t laps = 1; laps < 5; ++laps) {
        const auto recovered = j.restart(laps * capacity);
        BOOST_TEST(recovered.head == laps * capacity);
        BOOST_TEST(recovered.gaps == 0U);
    }
    Ring foreign(j.memory, capacity, secret + 1, crc32c, &j.control);
    BOOST_TEST(foreign.recover(0).head == 0U);
}

BOOST_AUTO_TEST_CASE(recover_from_any_bytes) {
    Journal j;
    std::mt19937_64 random(7);
    for (int round = 0; round < 200; ++round) {
        for (std::size_t i = 0; i < capacity; i += 8) {
            const std::uint64_t value = random() % 4 == 0 ? (i / 32 * 32) ^ secret : random();
            std::memcpy(j.memory + i, &value, 8);
        }
        const auto recovered = j.restart(0);
        BOOST_TEST(recovered.head <= capacity);
        BOOST_TEST(j.from(0).size() <= capacity / record_alignment);
    }
}

// Processes killed at any instant: every combination of published and unpublished records in a row.
BOOST_AUTO_TEST_CASE(recover_after_every_combination_of_unpublished_records) {
    constexpr std::size_t count = 6;
    for (unsigned dead = 0; dead < 1U << count; ++dead) {
        Journal j(capacity - 320);  // across the end of the memory
        std::vector<std::uint64_t> positions;
        for (std::size_t i = 0; i < count; ++i)
            positions.push_back(j.write("SELECT " + std::to_string(i) + std::string(i * 40, ' '), 0).value());
        for (std::size_t i = 0; i < count; ++i)
            if ((dead >> i & 1U) != 0) j.header(positions[i])->stamp.store(0);
        j.restart(capacity - 320);
        std::vector<std::uint64_t> found;
        for (const auto& record : j.from(j.ring.tail()))
            if (record.kind == RecordKind::use) found.push_back(record.position);
        std::vector<std::uint64_t> wanted;
        for (std::size_t i = 0; i < count; ++i)
            if ((dead >> i & 1U) == 0) wanted.push_back(positions[i]);
        BOOST_TEST(found == wanted);
        BOOST_TEST(j.room() == static_cast<std::int64_t>(capacity - (j.ring.head() - j.ring.tail())));
    }
}

BOOST_AUTO_TEST_CASE(the_largest_record_fits_and_is_read) {
    Journal j;
    const auto overhead = encoded(Use{.grant = 42}).size();
    const std::string statement(j.ring.largest_payload() - overhead, 'L');
    for (int i = 0; i < 40; ++i) {
        const auto position = j.write(statement, 0).value();
        BOOST_TEST(j.statement_at(position) == statement);
        j.ring.advance(j.ring.head());
    }
}

// Many writers and one reader: every record is read once and intact, those of each writer in order, with an outcome for
// each use.
BOOST_AUTO_TEST_CASE(writers_and_a_reader) {
    constexpr int writers = 4;
    constexpr int each = 20'000;
    Journal j;
    std::atomic<int> running{writers};
    std::vector<std::thread> threads;
    threads.reserve(writers);
    for (int w = 0; w < writers; ++w)
        threads.emplace_back([&, w] {
            std::mt19937_64 random(static_cast<std::uint64_t>(w));
            for (int i = 0; i < each; ++i) {
                const std::string padding(random() % 400, static_cast<char>('a' + w));
                const std::string statement = std::to_string(w) + " " + std::to_string(i) + " " + padding;
                const Use use{.grant = static_cast<std::uint64_t>(w), .statement = statement};
                const auto bytes = encoded(use);
                while (!j.ring.claim(bytes.size(), outcome_record_size)) std::this_thread::yield();
                const auto position = j.ring.append(RecordKind::use, j.ring.payload(bytes), i);
                j.write(Outcome{.use_position = position, .rows = static_cast<std::uint64_t>(i)}, i);
            }
            --running;
        });

    std::vector<int> next(writers, 0);
    std::vector<std::uint64_t> open(writers, ~0ULL);
    std::uint64_t at = 0;
    long uses = 0;
    long outcomes = 0;
    bool intact = true;
    for (;;) {
        const bool last = running.load() == 0;
        const auto record = j.ring.read(at);
        if (!record) {
            if (last && at == j.ring.head()) break;
            std::this_thread::yield();
            continue;
        }
        if (record->kind == RecordKind::use) {
            const auto decoded = decode_use(record->payload);
            const auto w = decoded ? decoded->use.grant : writers;
            intact = intact && w < writers;
            if (!intact) break;
            const std::string expected = std::to_string(w) + " " + std::to_string(next[w]) + " ";
            intact = intact && decoded->use.statement.starts_with(expected) &&
                     decoded->use.statement.find_first_not_of(static_cast<char>('a' + w), expected.size()) ==
                         std::string_view::npos;
            ++next[w];
            open[w] = record->position;
            ++uses;
        } else if (record->kind == RecordKind::outcome) {
            const auto outcome = decode_outcome(record->payload);
            intact = intact && outcome && std::count(open.begin(), open.end(), outcome->use_position) == 1;
            ++outcomes;
        } else {
            intact = false;
        }
        if (!intact) break;
        at = record->next;
        if (at - j.ring.tail() > capacity / 8) j.ring.advance(at);
    }
    if (!intact) j.control.room.store(1LL << 60);  // lets the writers end
    for (auto& thread : threads) thread.join();
    BOOST_REQUIRE(intact);
    BOOST_TEST(uses == long{writers} * each);
    BOOST_TEST(outcomes == long{writers} * each);
    j.ring.advance(at);
    BOOST_TEST(j.room() == static_cast<std::int64_t>(capacity));
}
