// The payload of a use, for tests.
#pragma once

#include "jit_access/core/journal_record.hpp"

[[nodiscard]] inline std::vector<std::byte> encoded(const jit::core::Use& use) {
    std::vector<std::byte> bytes;
    jit::core::encode(use, bytes);
    return bytes;
}
