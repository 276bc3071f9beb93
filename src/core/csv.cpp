#include "jit_access/core/csv.hpp"

#include <algorithm>
#include <array>

namespace jit::core {

namespace {

// Also in their full-width forms, and what some programs skip before they look for one.
constexpr std::array<std::string_view, 14> beginnings_of_formulas{
    "=",           "+", "-", "@", "|", "\t", "\r", "\n", "\v", "\f", "\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D",
    "\xEF\xBC\xA0"};

// The plain one, the one that does not break, the wide one.
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
    return std::any_of(beginnings_of_formulas.begin(), beginnings_of_formulas.end(),
                       [rest](std::string_view beginning) { return rest.starts_with(beginning); });
}

// Blanks at the ends would be lost in some programs.
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
