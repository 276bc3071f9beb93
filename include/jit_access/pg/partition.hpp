// What ATTACH PARTITION wants to be sure of.
#pragma once

#include <string>

namespace jit::pg {

// Adds a check to a table as one that holds, without reading its rows, the way CREATE TABLE does: the caller has made
// sure of it under a lock. What is attached by a bound that the check implies is not read either.
void add_valid_check(const std::string& table, const std::string& name, const std::string& condition);

}  // namespace jit::pg
