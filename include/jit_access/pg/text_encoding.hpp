// Text whose encoding may differ from that of this database: the journal holds the names and statements of other
// databases unconverted.
#pragma once

#include <string>
#include <string_view>

namespace jit::pg {

// Whether the server would accept the text as a value of type text: it is valid in the encoding of this database and
// has no zero byte.
[[nodiscard]] bool is_valid_text(std::string_view text) noexcept;
// Replaces every byte that is not part of a valid character with \xHH.
[[nodiscard]] std::string escape_invalid_text(std::string_view text);

}  // namespace jit::pg
