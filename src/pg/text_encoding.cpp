#include "jit_access/pg/text_encoding.hpp"

#include "jit_access/core/encoding.hpp"
#include "jit_access/pg/server.hpp"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace jit::pg {

bool is_valid_text(std::string_view text) noexcept {
    return pg_verify_mbstr(GetDatabaseEncoding(), text.data(), static_cast<int>(text.size()), true);
}

std::string escape_invalid_text(std::string_view text) {
    std::string valid;
    while (!text.empty()) {
        // The length of a character follows from its first byte; the other bytes may still be invalid.
        auto size = static_cast<std::size_t>(pg_encoding_mblen(GetDatabaseEncoding(), text.data()));
        if (size > text.size() || text.front() == '\0' || !is_valid_text(text.substr(0, size))) {
            core::append_hex_escape(valid, text.front());
            size = 1;
        } else {
            valid += text.substr(0, size);
        }
        text.remove_prefix(size);
    }
    return valid;
}

}  // namespace jit::pg
