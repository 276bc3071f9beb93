// CHECK constraints that let ATTACH PARTITION skip its scan.
#pragma once

#include <string>

namespace jit::pg {

// Adds a CHECK constraint that is marked valid without a scan of the table, as CREATE TABLE does for an empty table.
// The caller guarantees, under a lock, that all rows satisfy it. ATTACH PARTITION skips its own scan if the constraint
// implies the partition's bounds. Takes an AccessExclusiveLock on the table. Throws server errors.
void add_valid_check(const std::string& table, const std::string& name, const std::string& condition);

}  // namespace jit::pg
