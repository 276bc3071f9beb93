// Runs a harness for a short time without libFuzzer: every file of the corpus, then mutations of them that depend on a
// seed. Prints TAP. An input that fails is kept in a file; given that file instead of a folder, the driver repeats it.
//
//   driver CORPUS [RUNS [SEED]]
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <sanitizer/common_interface_defs.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "fuzz.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::size_t largest = 20'000;

Bytes current;
std::string failed_file;

void keep_current() {
    std::ofstream(failed_file, std::ios::binary)
        .write(reinterpret_cast<const char*>(current.data()), static_cast<std::streamsize>(current.size()));
    std::fprintf(stderr, "the input that failed is in %s\n", failed_file.c_str());
}

void run(const Bytes& input) {
    current = input;
    // A buffer of exactly this size, so that the sanitizer detects a read past its end.
    const Bytes exact(input.begin(), input.end());
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

Bytes load(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(in), {});
}

class Mutator {
public:
    Mutator(const std::vector<Bytes>& corpus, std::uint64_t seed) : corpus_(corpus), random_(seed) {}

    Bytes next() {
        Bytes bytes = corpus_[below(corpus_.size())];
        for (auto changes = 1 + below(6); changes > 0; --changes) change(bytes);
        if (bytes.size() > largest) bytes.resize(largest);
        return bytes;
    }

private:
    std::size_t below(std::size_t end) { return end == 0 ? 0 : random_() % end; }
    auto place(Bytes& bytes, std::size_t at) { return bytes.begin() + static_cast<std::ptrdiff_t>(at); }

    void change(Bytes& bytes) {
        // More mutations in front, where the headers are.
        const auto near = below(4) == 0 ? std::min<std::size_t>(bytes.size(), 64) : bytes.size();
        const auto at = below(near);
        const auto length = std::min(1 + below(below(3) == 0 ? 300 : 8), bytes.size() - at);
        switch (below(8)) {
            case 0:
                if (!bytes.empty()) bytes[at] ^= static_cast<std::uint8_t>(1U << below(8));
                break;
            case 1:
                if (!bytes.empty()) bytes[at] = static_cast<std::uint8_t>(random_());
                break;
            case 2: overwrite_number(bytes, at); break;
            case 3: bytes.resize(at); break;
            case 4: bytes.erase(place(bytes, at), place(bytes, at + length)); break;
            case 5: bytes.insert(place(bytes, at), 1 + below(40), static_cast<std::uint8_t>(random_())); break;
            case 6: {  // a part of itself, at another place
                const Bytes part(place(bytes, at), place(bytes, at + length));
                const auto to = below(bytes.size() + 1);
                std::copy_n(part.begin(), std::min(part.size(), bytes.size() - to), place(bytes, to));
                break;
            }
            default: {  // a part of another
                const Bytes& other = corpus_[below(corpus_.size())];
                const auto from = below(other.size());
                const auto size = std::min(other.size() - from, 1 + below(300));
                bytes.insert(place(bytes, at), other.begin() + static_cast<std::ptrdiff_t>(from),
                             other.begin() + static_cast<std::ptrdiff_t>(from + size));
            }
        }
    }

    void overwrite_number(Bytes& bytes, std::size_t at) {
        static constexpr std::uint64_t interesting[] = {
            0,      1,      31,         32,         33,         64,         255,       4095,  4096,
            0xFFE0, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFE0, 0xFFFFFFFF, ~0ULL - 1, ~0ULL, 1ULL << 62};
        const auto value = interesting[below(std::size(interesting))];
        const auto size = std::min(std::size_t{1} << below(4), bytes.size() - at);
        if (size > 0) std::memcpy(bytes.data() + at, &value, size);
    }

    const std::vector<Bytes>& corpus_;
    std::mt19937_64 random_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s CORPUS [RUNS [SEED]]\n", argv[0]);
        return 2;
    }
    const std::filesystem::path corpus_path = argv[1];
    const auto runs = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 0;
    const auto seed = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 1;
    failed_file = std::filesystem::temp_directory_path() / ("jit_access-fuzz-" + std::to_string(getpid()));
    __sanitizer_set_death_callback(keep_current);
    std::signal(SIGABRT, [](int) {
        keep_current();
        std::_Exit(1);
    });

    if (std::filesystem::is_regular_file(corpus_path)) {
        run(load(corpus_path));
        return 0;
    }
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(corpus_path)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    std::vector<Bytes> corpus;
    for (const auto& file : files) corpus.push_back(load(file));
    for (const auto& input : corpus) run(input);
    std::printf("%s 1 - %zu files of the corpus\n", corpus.empty() ? "not ok" : "ok", corpus.size());
    if (corpus.empty()) return 1;

    const auto start = std::chrono::steady_clock::now();
    Mutator mutator(corpus, seed);
    for (unsigned long i = 0; i < runs; ++i) run(mutator.next());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("ok 2 - %lu changes of them, seed %lu\n# %.0f a second\n1..2\n", runs, seed,
                static_cast<double>(runs) / std::max(took.count(), 0.001));
    return 0;
}
