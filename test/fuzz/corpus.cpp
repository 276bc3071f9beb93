// Writes the corpus: intact, torn, stale, wrapped and forged records and rings. Runs each time the harnesses are built,
// so the corpus follows the format.
//
//   corpus DIRECTORY    gets one folder for each harness
#include <filesystem>
#include <fstream>
#include <string>

#include "mapped_ring.hpp"

using namespace fuzz;
using namespace jit::core;

namespace {

std::filesystem::path directory;

void save(const char* harness, const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories(directory / harness);
    std::ofstream(directory / harness / name, std::ios::binary) << bytes;
}

// ---- payloads -----------------------------------------------------------------------------------------------------

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Use sample() {
    static const std::uint64_t grants[] = {42, 43, UINT64_MAX};
    static const ObjectUse objects[] = {{privilege_select, 0, "app.orders"},
                                        {privilege_insert, privilege_insert, "app.\"Odd Name\""}};
    return {.grant = 42,
            .grants = grants,
            .pid = 4711,
            .depth = 3,
            .session_start = INT64_MIN,
            .login = "alice",
            .role = "jit_grant_42",
            .database = "postgres",
            .application = "psql",
            .client = "192.0.2.1",
            .tag = "SELECT",
            .statement = "SELECT * FROM app.orders",
            .statement_size = 24,
            .object_count = 70,
            .objects = objects,
            .sqlstate = {'J', 'A', '0', '1', '0'},
            .reason = "grant 42 has ended"};
}

void payloads() {
    const std::string whole = text_of(encoded(sample()));
    save("record", "use", whole);
    save("record", "use_of_nothing", text_of(encoded(Use{})));
    save("record", "use_torn_in_a_text", whole.substr(0, whole.size() / 2));
    save("record", "use_torn_at_the_end", whole.substr(0, whole.size() - 1));
    save("record", "use_and_a_byte", whole + '\0');

    Use use = sample();
    const std::vector<std::uint64_t> grants(max_session_grants, 42);
    const std::vector<ObjectUse> objects(max_objects, {privilege_select, 0, "app.orders"});
    use.grants = grants;
    use.objects = objects;
    save("record", "use_of_the_most", text_of(encoded(use)));
    const std::vector<std::uint64_t> too_many(max_session_grants + 1, 42);
    use.grants = too_many;
    save("record", "use_of_too_many_grants", text_of(encoded(use)));

    for (const auto ending : {Ending::completed, Ending::failed, Ending::interrupted, Ending{0}, Ending{4}}) {
        const Outcome outcome{.use_position = 4096, .rows = 3, .duration = -1, .ending = ending};
        save("record", "outcome_" + std::to_string(static_cast<int>(ending)), text_of(encode(outcome)));
    }
    save("record", "nothing", "");
}

// ---- rings --------------------------------------------------------------------------------------------------------

std::uint64_t put(MappedRing& ring, std::string_view statement) {
    const Use use{.grant = 42, .statement = statement};
    const auto bytes = encoded(use);
    CHECK(ring.ring.claim(bytes.size(), 0));
    return ring.append(RecordKind::use, bytes, 7);
}

// The ring as it is, with the places of its records, whose stamps and checksums the harness repairs after a mutation.
void save_image(const std::string& name, const MappedRing& ring, std::uint64_t tail,
                const std::vector<std::uint64_t>& records, std::uint16_t head = 0) {
    ImageHeader header{.pages = static_cast<std::uint8_t>(ring.capacity / page - 1), .head = head, .tail = tail};
    const std::string memory(reinterpret_cast<const char*>(ring.memory), ring.capacity);
    const auto bytes_of = [](const auto& value) {
        return std::string(reinterpret_cast<const char*>(&value), sizeof value);
    };
    save("ring_image", name, bytes_of(header) + memory);
    std::string repairs;
    for (const auto position : records)
        for (const auto how : {repair_checksum, repair_all}) {
            if (how == repair_all && header.repairs % 3 != 0) continue;
            repairs += bytes_of(static_cast<std::uint16_t>((position - tail) / unit | how));
            ++header.repairs;
        }
    save("ring_image", name + "_repaired", bytes_of(header) + repairs + memory);
}

void images() {
    for (std::size_t pages = 1; pages <= 3; ++pages) {
        const auto suffix = "_" + std::to_string(pages);
        MappedRing& ring = empty_ring(pages);
        std::vector<std::uint64_t> records;
        ring.restart(0);
        save_image("empty" + suffix, ring, 0, {});
        for (int i = 0; i < 8; ++i) records.push_back(put(ring, "SELECT " + std::string(i * 9U, 'x')));
        records.push_back(ring.append(Outcome{.use_position = records[0]}, 9));
        save_image("whole" + suffix, ring, 0, records);
        save_image("damaged_while_running" + suffix, ring, 0, records,
                   static_cast<std::uint16_t>(ring.ring.head() / unit));

        std::memset(ring.at(records[3]), 0, 8);
        std::memset(ring.at(records[4]) + unit, 0xA5, unit);
        save_image("torn_in_the_middle" + suffix, ring, 0, records);
        std::memset(ring.at(records[0]), 0, 8);
        save_image("torn_at_the_tail" + suffix, ring, 0, records);
        std::memset(ring.at(records.back()) + 12, 0, 4);
        save_image("torn_at_the_end" + suffix, ring, 0, records);

        // Later laps: remains of earlier ones are everywhere, and one record crosses the end of the memory.
        MappedRing& lapped = empty_ring(pages);
        lapped.restart(1ULL << 40);
        while (lapped.ring.head() < (1ULL << 40) + 2 * lapped.capacity + lapped.capacity / 2) {
            put(lapped, "SELECT 'an earlier lap'");
            lapped.ring.advance(lapped.ring.head());
        }
        save_image("stale" + suffix, lapped, lapped.ring.tail(), {lapped.ring.tail()});
        records.clear();
        const auto tail = lapped.ring.tail();
        while (lapped.ring.head() + 1024 < tail + lapped.capacity)
            records.push_back(put(lapped, std::string(400, 'w')));
        save_image("wrapped" + suffix, lapped, tail, records);
        save_image("stale_header" + suffix, lapped, tail - lapped.capacity / 2, records);
        std::memset(lapped.at(records.at(1)), 0, 8);
        save_image("wrapped_and_torn" + suffix, lapped, tail, records);

        // A record within a statement, and a record whose size reaches past the end of the ring.
        MappedRing& forged = empty_ring(pages);
        forged.restart(0);
        put(forged, "DROP TABLE evidence");
        const std::string inner(reinterpret_cast<const char*>(forged.memory), 128);
        const auto outer = put(forged, std::string(17, ' ') + inner + inner);
        save_image("forged" + suffix, forged, 0, {0, outer, outer + 3 * unit});
        const auto last = forged.capacity - unit;
        const std::uint32_t size = 4 * unit;
        std::memcpy(forged.at(last) + 8, &size, sizeof size);
        save_image("beyond_the_end" + suffix, forged, 0, {outer, last},
                   static_cast<std::uint16_t>(forged.capacity / unit));
    }
}

// ---- crashes ------------------------------------------------------------------------------------------------------

using Steps = std::vector<std::pair<Operation, int>>;

void save_crash(const std::string& name, int pages, std::uint32_t start, const Steps& steps) {
    std::string bytes(1, static_cast<char>(pages - 1));
    bytes.append(reinterpret_cast<const char*>(&start), sizeof start);
    for (const auto& [operation, argument] : steps)
        bytes += {static_cast<char>(operation), static_cast<char>(argument)};
    save("ring_crash", name, bytes);
}

void crashes() {
    save_crash("clean", 2, 0,
               {{op_use, 9}, {op_outcome, 0}, {op_refusal, 3}, {op_read, 2}, {op_crash, 0}, {op_read, 9}});
    save_crash("torn_at_the_end", 1, 7, {{op_use, 9}, {op_tear, 30}, {op_crash, 0}, {op_use, 4}, {op_read, 9}});
    save_crash(
        "holes", 1, 99,
        {{op_reserve, 40}, {op_use, 9}, {op_tear, 30}, {op_reserve, 1}, {op_use, 4}, {op_crash, 0}, {op_read, 9}});
    Steps full;
    for (int i = 0; i < 60; ++i) full.insert(full.end(), {{op_use, 255 - i}, {op_outcome, 0}});
    full.insert(full.end(), {{op_crash, 0}, {op_read, 3}, {op_use, 100}, {op_tear, 8}, {op_crash, 0}});
    save_crash("full", 3, 0xFFFFFFFF, full);
    Steps laps;
    for (int i = 0; i < 120; ++i)
        laps.insert(laps.end(), {{op_use, i * 2},
                                 {i % 5 == 0 ? op_tear : op_use, i},
                                 {op_outcome, 0},
                                 {i % 5 == 0 ? op_crash : op_read, 4}});
    save_crash("laps", 2, 5000, laps);
    Steps power = {{op_use, 60}, {op_use, 60}, {op_flush, 0}};
    for (int i = 0; i < 40; ++i) power.insert(power.end(), {{op_use, 60}, {op_outcome, 0}, {op_read, 2}});
    power.insert(power.end(), {{op_refusal, 60}, {op_refusal, 9}, {op_power, 0x80}, {op_reserve, 60}, {op_read, 9}});
    save_crash("stale_header", 2, 0, power);
    save_crash("lost_page", 2, 0,
               {{op_refusal, 255},
                {op_refusal, 255},
                {op_refusal, 255},
                {op_refusal, 200},
                {op_read, 2},
                {op_refusal, 200},
                {op_refusal, 200},
                {op_power, 0x81},
                {op_read, 9},
                {op_use, 9},
                {op_read, 9}});
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    directory = argv[1];
    payloads();
    images();
    crashes();
}
