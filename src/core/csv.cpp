#include "jit_access/core/csv.hpp"

#include <algorithm>
#include <array>

namespace jit::core {

namespace {

// Also in their full-width forms, and what some programs skip before they look for one.
constexpr std::array<std::string_view, 11> beginnings_of_formulas{
    "=", "+", "-", "@", "\t", "\r", "\n", "\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D", "\xEF\xBC\xA0"};

bool is_formula(std::string_view text) noexcept {
    const auto first = std::min(text.find_first_not_of(' '), text.size());
    const auto rest = text.substr(first);
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
