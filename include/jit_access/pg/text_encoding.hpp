// Text whose encoding may differ from that of this database: the journal holds the names and statements of other
// databases unconverted.
#pragma once

#include <string>
#include <string_view>

namespace jit::pg {

// Whether the server would accept it as a value of type text: valid in the encoding of this database, no zero byte.
[[nodiscard]] bool is_valid_text(std::string_view text) noexcept;
// Every byte that belongs to no valid character becomes \xHH.
[[nodiscard]] std::string escape_invalid_text(std::string_view text);

}  // namespace jit::pg
