// Counting for jit_access.metrics as the record is written: what is counted once is never looked for among ten million
// rows.
#pragma once

#include <span>

#include "jit_access/core/entry.hpp"

namespace jit::metrics {

// In the transaction that writes them. A fault is logged and leaves the record alone.
void count(std::span<const core::Entry> entries);

}  // namespace jit::metrics
