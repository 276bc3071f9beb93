#include "jit_access/pg/relation.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "jit_access/pg/server.hpp"

extern "C" {
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace jit::pg {

namespace {

// Two identifiers of 63 bytes, each quoted with every byte doubled, and a dot.
constexpr std::size_t max_name = 2 * (2 * 63 + 2) + 1;

struct Entry {
    std::uint32_t relation = 0;
    std::uint16_t size = 0;
    std::array<char, max_name> text{};
};

// A set-associative cache: with four entries in each set, the relations of one statement rarely evict each other.
constexpr std::size_t ways = 4;
constexpr std::size_t sets = 64;
std::array<std::array<Entry, ways>, sets> cache;
std::size_t next_victim = 0;  // round robin

const char* read_name(std::uint32_t relation) {
    const char* name = get_rel_name(relation);
    if (name == nullptr) return nullptr;
    const char* schema = get_namespace_name(get_rel_namespace(relation));
    return quote_qualified_identifier(schema, name);
}

}  // namespace

MinimalQuoting::MinimalQuoting() noexcept : before_(quote_all_identifiers) { quote_all_identifiers = false; }
MinimalQuoting::~MinimalQuoting() { quote_all_identifiers = before_; }

std::string_view relation_name(std::uint32_t relation) {
    auto& set = cache[relation % sets];
    for (const auto& entry : set)
        if (entry.relation == relation) return {entry.text.data(), entry.size};

    const MinimalQuoting minimal_quoting;
    const char* name = call([&] { return read_name(relation); });
    Entry& entry = set[next_victim++ % ways];
    entry.relation = relation;
    const std::string_view text = name != nullptr ? name : "(dropped)";
    entry.size = static_cast<std::uint16_t>(std::min(text.size(), max_name));
    std::memcpy(entry.text.data(), text.data(), entry.size);
    return {entry.text.data(), entry.size};
}

void forget_relation_names(std::uint32_t relation) noexcept {
    if (relation == 0) {
        for (auto& set : cache)
            for (auto& entry : set) entry.relation = 0;
        return;
    }
    for (auto& entry : cache[relation % sets])
        if (entry.relation == relation) entry.relation = 0;
}

}  // namespace jit::pg
