// Generates made-up data of a company: people who request templates and use them, over a number of days, as files for
// COPY, with a record that continues the hash chain of a server. docs/bench-life.md describes the data.
//
// The same options give the same files. bench/load_life loads them into a server.
#include <cstring>
#include <iostream>
#include <map>

#include "../src/verify/hasher.hpp"
#include "life/tables.hpp"

namespace {

constexpr const char* usage =
    "usage: life --out DIRECTORY [OPTION VALUE]... >RECORD\n"
    "  --seed N\n"
    "  --days 90 --people 200 --templates 30   at least 42, 64 and 8\n"
    "  --rows 300000       how many rows the record has, about\n"
    "  --anomalies 4       how many of each of the 15 kinds\n"
    "  --until DATE        the day after the last one, as 2026-01-31\n"
    "  --chain UUID        of the server, jit_access.chain\n"
    "  --after N --head H  the last row of its record, and its hash; 0: there is none yet\n"
    "  --first-request N --first-template N\n"
    "RECORD is a file for COPY jit_access.record, DIRECTORY has the others.\n";

using Options = std::map<std::string, std::string>;

[[noreturn]] void die(const std::string& why) {
    std::cerr << "life: " << why << "\n" << usage;
    std::exit(2);
}

Options parse(int count, char** arguments) {
    Options options{{"seed", "1"},
                    {"days", "90"},
                    {"people", "200"},
                    {"templates", "30"},
                    {"rows", "300000"},
                    {"anomalies", "4"},
                    {"after", "0"},
                    {"head", ""},
                    {"out", ""},
                    {"until", "2026-01-31"},
                    {"first-request", "1"},
                    {"first-template", "1"},
                    {"chain", "00000000-0000-0000-0000-000000000000"}};
    for (int i = 1; i < count; i += 2) {
        const std::string word = arguments[i];
        if (!word.starts_with("--") || !options.contains(word.substr(2))) die("unknown argument " + word);
        if (i + 1 == count) die(word + " needs a value");
        options[word.substr(2)] = arguments[i + 1];
    }
    if (options["out"].empty()) die("--out is missing");
    return options;
}

std::int64_t number(const Options& options, const char* name, std::int64_t least) {
    try {
        std::size_t end = 0;
        const auto value = std::stoll(options.at(name), &end);
        if (end == options.at(name).size() && value >= least) return value;
    } catch (const std::exception&) {
    }
    die(std::string("--") + name + " is no number from " + std::to_string(least) + " on");
}

life::Day day(const std::string& text) {
    int year = 0;
    unsigned month = 0;
    unsigned day = 0;
    if (std::sscanf(text.c_str(), "%d-%u-%u", &year, &month, &day) != 3) die("--until is no date");
    const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
    if (!date.ok()) die("--until is no date");
    return date;
}

// The data has a node of its own, because the positions must not collide with those of the server's journal.
jit::core::Uuid node_for(std::uint64_t seed) {
    life::Random random(seed, 5);
    jit::core::Uuid node{};
    for (auto& byte : node) byte = static_cast<std::uint8_t>(random.next());
    return jit::core::uuid_from_random(node);
}

life::Head head_of(const Options& options) {
    life::Head head;
    head.seq = number(options, "after", 0);
    if (head.seq == 0) {
        const auto chain = jit::core::uuid_from_text(options.at("chain"));
        if (!chain) die("--chain is no UUID");
        jit::verify::OpenSslHasher hasher;
        head.digest = jit::core::first_head(hasher, *chain);
        return head;
    }
    const auto digest = jit::core::array_from_hex<jit::core::digest_size>(options.at("head"));
    if (!digest) die("--head is no hash");
    head.digest = *digest;
    return head;
}

void run(const Options& options) {
    const life::Size size{.seed = static_cast<std::uint64_t>(number(options, "seed", 0)),
                          .days = static_cast<int>(number(options, "days", 42)),
                          .people = static_cast<int>(number(options, "people", 64)),
                          .templates = static_cast<int>(number(options, "templates", 8))};
    const auto end = day(options.at("until"));
    const auto world = life::make_world(size, end, number(options, "first-template", 1));
    life::Story story(world, life::start_of(end));
    story.first_request = number(options, "first-request", 1);
    life::live(story);
    life::plant(story, static_cast<int>(number(options, "anomalies", 0)));
    story.finish();
    const auto node = node_for(size.seed);
    life::write_tables(story, jit::core::to_text(node), options.at("out"));
    life::write_record({story, node, number(options, "rows", 0)}, head_of(options), stdout);
}

}  // namespace

int main(int count, char** arguments) {
    const auto options = parse(count, arguments);
    try {
        run(options);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "life: " << error.what() << "\n";
        return 1;
    }
}
