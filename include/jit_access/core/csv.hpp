// Comma-separated values by RFC 4180, safe to open in a spreadsheet.
//
// Spreadsheet programs treat a cell that begins with one of = + - @ as a formula, which can run commands or send data
// to another host. An apostrophe, which the programs do not show, is put in front of such a cell (OWASP, "CSV
// Injection").
#pragma once

#include "jit_access/core/zone.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace jit::core {

[[nodiscard]] std::string csv_cell(std::string_view text);
// Returns one line, which ends with CR LF.
[[nodiscard]] std::string csv_line(const std::vector<std::string>& cells);

}  // namespace jit::core
