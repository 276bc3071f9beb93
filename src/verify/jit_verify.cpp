// jit-verify: verifies an export of the record (jit_audit_export) without a server. It uses the Verifier of core/, so
// its verdict is that of jit_audit_verify().
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "hasher.hpp"

namespace {

using namespace jit::core;

constexpr const char* usage =
    "usage: jit-verify [--key FILE] [--anchors FILE] [--print] [EXPORT]\n"
    "  EXPORT          output of \"COPY (SELECT line FROM jit_audit_export()) TO STDOUT\"; default: standard input\n"
    "  --key FILE      the key of the checkpoints (jit_access.checkpoint_key_file): their MACs are checked\n"
    "  --anchors FILE  checkpoints kept elsewhere (jit_access.anchor_file), one a line; they count only with the key\n"
    "  --print         the records, readable\n"
    "exit status:\n"
    "  0  sound: the chain is intact, and anchors agree up to the record that is named\n"
    "  1  not sound\n"
    "  2  it could not be read\n"
    "  3  self-consistent: the chain is intact, but no authenticated anchor confirms it, so records may be missing at\n"
    "     the end, or all of it may have been rewritten\n";

struct Options {
    std::optional<std::string> key;
    std::optional<std::string> anchors;
    std::optional<std::string> file;
    bool print = false;
};

[[noreturn]] void die(const std::string& why) {
    std::cerr << "jit-verify: " << why << "\n";
    std::exit(2);
}

Options parse(int count, char** arguments) {
    Options options;
    for (int i = 1; i < count; ++i) {
        const std::string word = arguments[i];
        const auto next = [&] {
            if (++i == count) die(word + " needs a file\n" + usage);
            return std::string(arguments[i]);
        };
        if (word == "--key")
            options.key = next();
        else if (word == "--anchors")
            options.anchors = next();
        else if (word == "--print")
            options.print = true;
        else if (word == "--help")
            std::cout << usage, std::exit(0);
        else if (word.starts_with("--") || options.file)
            die("unknown argument " + word + "\n" + usage);
        else
            options.file = word;
    }
    return options;
}

std::vector<std::byte> read_key(const std::string& name) {
    std::ifstream file(name);
    std::string text;
    file >> text;
    const auto key = from_hex(text);
    if (!key || key->size() < 16) die("\"" + name + "\" holds no key in hexadecimal");
    return *key;
}

std::string_view next_word(std::string_view& line) {
    const auto end = std::min(line.find(' '), line.size());
    const auto word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return word;
}

std::int64_t number(std::string_view word) {
    try {
        return std::stoll(std::string(word));
    } catch (const std::exception&) {
        die("\"" + std::string(word) + "\" is no number");
    }
}

Digest digest(std::string_view word) {
    const auto result = array_from_hex<digest_size>(word);
    if (!result) die("\"" + std::string(word) + "\" is no hash");
    return *result;
}

class ExportReader {
public:
    explicit ExportReader(Options options) : options_(std::move(options)) {}

    int run(std::istream& in) {
        std::string line;
        if (!std::getline(in, line)) die("there is nothing to read");
        read_header(line);
        while (std::getline(in, line)) read_line(line);
        add_anchors();
        verifier_->end_of_record(to_, next_);
        return report();
    }

private:
    void read_header(std::string_view line) {
        const bool is_export = next_word(line) == "jit_access" && next_word(line) == "record" && next_word(line) == "1";
        const auto chain = uuid_from_text(next_word(line));
        if (!is_export || !chain) die("this is no export of the record, or of another version");
        const auto before = number(next_word(line));
        const auto head = digest(next_word(line));
        if (const auto end = next_word(line); end == "to") {
            to_ = number(next_word(line));
            if (const auto next = number(next_word(line)); next != 0) next_ = next;
        } else if (end != "all") {
            die("the first line does not say where the export ends");
        }
        if (before == 0 && head != first_head(hasher_, *chain)) die("the first line does not fit its chain");
        const auto key = options_.key ? read_key(*options_.key) : std::vector<std::byte>{};
        verifier_.emplace(hasher_, *chain, before, head, key);
        chain_ = *chain;
        before_ = before;
    }

    // Adds the anchors after the checkpoints of the export and before its records, in the same order as the server.
    void add_anchors() {
        if (!options_.anchors || std::exchange(has_anchors_, true)) return;
        std::ifstream file(*options_.anchors);
        if (!file) die("cannot read \"" + *options_.anchors + "\"");
        for (std::string line; std::getline(file, line);)
            if (const auto anchor = checkpoint_from_line(line);
                anchor && (anchor->chain != chain_ || anchor->seq >= before_))
                verifier_->add_checkpoint(*anchor, *options_.anchors, Kept::outside);
    }

    void read_line(std::string_view line) {
        const auto kind = next_word(line);
        if (kind == "checkpoint") {
            const auto checkpoint = checkpoint_from_line(line);
            if (!checkpoint) die("a checkpoint cannot be read");
            verifier_->add_checkpoint(*checkpoint, "jit_access.checkpoint", Kept::in_table);
            return;
        }
        if (kind == "dropped") {
            const auto bytes = from_hex(line);
            if (!bytes) die("an entry about a dropped partition cannot be read");
            verifier_->add_dropped(*bytes);
            return;
        }
        if (kind != "record") die("a line is neither a record nor a checkpoint");
        add_anchors();
        const auto seq = number(next_word(line));
        const auto head = digest(next_word(line));
        const auto bytes = from_hex(line);
        if (!bytes) die("record " + std::to_string(seq) + " cannot be read");
        if (options_.print) std::cout << explain_bytes(*bytes).value_or("(of another form)") << "\n";
        verifier_->add_record(seq, *bytes, head);
    }

    int report() {
        for (const auto& finding : verifier_->findings())
            std::cout << "broken at " << finding.seq << ": " << finding.message << "\n";
        for (const auto& note : verifier_->notes()) std::cout << note << "\n";
        const auto anchored_to = verifier_->anchored_to();
        std::cout << name_of(verifier_->verdict()) << ": " << verifier_->records() << " records up to "
                  << verifier_->last() << ", "
                  << (anchored_to > 0 ? "anchored up to " + std::to_string(anchored_to) : "not anchored") << ", "
                  << verifier_->checkpoints() << " checkpoints, head " << to_hex(verifier_->head()) << "\n";
        return exit_status(verifier_->verdict());
    }

    static const char* name_of(Verdict verdict) {
        switch (verdict) {
            case Verdict::broken: return "not sound";
            case Verdict::self_consistent: return "self-consistent";
            case Verdict::sound: return "sound";
        }
        return "not sound";
    }

    static int exit_status(Verdict verdict) {
        switch (verdict) {
            case Verdict::broken: return 1;
            case Verdict::self_consistent: return 3;
            case Verdict::sound: return 0;
        }
        return 1;
    }

    Options options_;
    jit::verify::OpenSslHasher hasher_;
    std::optional<Verifier> verifier_;
    Uuid chain_{};
    std::int64_t before_ = 0;
    bool has_anchors_ = false;
    std::int64_t to_ = std::numeric_limits<std::int64_t>::max();
    std::optional<std::int64_t> next_;
};

}  // namespace

int main(int count, char** arguments) {
    try {
        const auto options = parse(count, arguments);
        ExportReader reader(options);
        if (!options.file) return reader.run(std::cin);
        std::ifstream file(*options.file);
        if (!file) die("cannot read \"" + *options.file + "\"");
        return reader.run(file);
    } catch (const std::exception& error) {
        die(error.what());
    }
}
