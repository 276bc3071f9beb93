// Keys kept in files outside of the database, in hexadecimal: the key for checkpoints (record/chain.hpp) and the key
// for second factors (identity/second_factor.hpp). A key in a table could be read by a superuser's query and would be
// in every dump.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace jit::key_file {

// Returns the key, at least 16 bytes; nullopt if the file is missing or unreadable, or holds something else.
[[nodiscard]] std::optional<std::vector<std::byte>> read(const std::string& name);
// Creates the file with 32 random bytes, readable by the server's user only, unless it exists. This is safe against
// concurrent calls and crashes, because the file appears complete or not at all. Returns the reason for a failure;
// nullopt if the file exists now, even if another process created it.
[[nodiscard]] std::optional<std::string> create(const std::string& name);
// Checks whether the file is safe to hold a secret key: a regular file, owned by the server's user, not accessible by
// others, long enough. Returns the first problem as a sentence; nullopt if there is none.
[[nodiscard]] std::optional<std::string> find_problem(const std::string& name);

}  // namespace jit::key_file
