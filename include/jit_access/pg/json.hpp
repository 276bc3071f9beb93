// JSON by the server's own functions, so that equal documents have the same text.
//
// For code inside a transaction. Texts are in the encoding of the database.
#pragma once

#include <string>

namespace jit::pg {

// A JSON string with its quotes. The text ends at its first zero byte.
[[nodiscard]] std::string quote_json(const std::string& text);

// Returns the document as jsonb prints it, with keys in the order of jsonb, and only the last of repeated keys. Throws
// if the text is not JSON.
[[nodiscard]] std::string normalize_json(const std::string& document);

}  // namespace jit::pg
