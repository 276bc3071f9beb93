// Lines of comma-separated values as RFC 4180 has them, safe to be opened in a spreadsheet.
//
// A program that opens such a file takes a cell that begins with one of = + - @ for a formula, which can run commands
// or send data away. Such a cell gets an apostrophe in front; the programs do not show it (OWASP, "CSV Injection").
#pragma once

#include "jit_access/core/zone.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace jit::core {

[[nodiscard]] std::string csv_cell(std::string_view text);
// With its end, CR LF.
[[nodiscard]] std::string csv_line(const std::vector<std::string>& cells);

}  // namespace jit::core
