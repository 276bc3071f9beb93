#include "jit_access/core/csv.hpp"

#include <algorithm>
#include <array>

namespace jit::core {

namespace {

// The list includes the full-width forms of these characters, and characters that some programs skip before a formula.
constexpr std::array<std::string_view, 14> formula_prefixes{
    "=",           "+", "-", "@", "|", "\t", "\r", "\n", "\v", "\f", "\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D",
    "\xEF\xBC\xA0"};

// U+0020, U+00A0 and U+3000.
constexpr std::array<std::string_view, 3> blanks{" ", "\xC2\xA0", "\xE3\x80\x80"};

std::string_view without_blanks(std::string_view text) noexcept {
    for (;;) {
        const auto* const blank =
            std::find_if(blanks.begin(), blanks.end(), [text](std::string_view one) { return text.starts_with(one); });
        if (blank == blanks.end()) return text;
        text.remove_prefix(blank->size());
    }
}

bool is_formula(std::string_view text) noexcept {
    const auto rest = without_blanks(text);
    return std::any_of(formula_prefixes.begin(), formula_prefixes.end(),
                       [rest](std::string_view prefix) { return rest.starts_with(prefix); });
}

// Some programs drop blanks at the beginning or end of a cell that has no quotes.
bool needs_quotes(std::string_view text) noexcept {
    if (text.empty()) return false;
    return text.find_first_of(",\"\r\n\t") != std::string_view::npos || text.front() == ' ' || text.back() == ' ';
}

}  // namespace

std::string csv_cell(std::string_view text) {
    std::string safe = (is_formula(text) ? "'" : "") + std::string(text);
    if (!needs_quotes(safe)) return safe;
    std::string cell = "\"";
    for (const char c : safe) {
        if (c == '"') cell += '"';
        cell += c;
    }
    return cell + '"';
}

std::string csv_line(const std::vector<std::string>& cells) {
    std::string line;
    for (const auto& cell : cells) {
        if (&cell != &cells.front()) line += ',';
        line += csv_cell(cell);
    }
    return line + "\r\n";
}

}  // namespace jit::core
