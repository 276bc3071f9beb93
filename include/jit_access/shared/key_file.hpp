// Keys in files outside of the database, in hexadecimal: of the checkpoints (chain.hpp), of the second factors.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace jit::key_file {

// At least 16 bytes; nothing where there is no such key.
[[nodiscard]] std::optional<std::vector<std::byte>> read(const std::string& name);
// Makes the file, once, where there is none: 32 random bytes, for the server's user alone. Nobody ever sees half of it.
// Answers why it could not be made; nothing where it is there now, whoever made it.
[[nodiscard]] std::optional<std::string> create(const std::string& name);
// Why a file is no good for a key that nobody else may know (missing, another's, readable for others, too short), as a
// sentence; nothing if it is.
[[nodiscard]] std::optional<std::string> find_problem(const std::string& name);

}  // namespace jit::key_file
