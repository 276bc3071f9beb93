#include "jit_access/core/unicode.hpp"

#include <algorithm>
#include <iterator>

#include "jit_access/core/unicode_table.hpp"

namespace jit::core {

namespace {

template <class Table>
constexpr bool is_in(const Table& table, char32_t character) noexcept {
    const auto* found = std::lower_bound(std::begin(table), std::end(table), character,
                                         [](const CodePoints& range, char32_t c) { return range.last < c; });
    return found != std::end(table) && found->first <= character;
}

template <class Table>
constexpr bool is_ascending(const Table& table) {
    return std::is_sorted(std::begin(table), std::end(table),
                          [](const CodePoints& a, const CodePoints& b) { return a.last < b.first; });
}

static_assert(is_ascending(hidden_code_points) && is_ascending(white_space), "the ranges are searched by halves");

}  // namespace

bool is_hidden_character(char32_t character) noexcept { return is_in(hidden_code_points, character); }

bool is_white_space(char32_t character) noexcept { return is_in(white_space, character); }

}  // namespace jit::core
