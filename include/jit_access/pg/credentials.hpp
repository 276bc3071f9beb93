// A password that nobody has thought of, and what the server keeps of it.
#pragma once

#include <string>

namespace jit::pg {

// 32 characters of an alphabet of 64, from the server's strong source of random bytes. Throws.
[[nodiscard]] std::string random_password();
// The SCRAM-SHA-256 verifier, by the server's own function, whatever password_encryption says. Throws.
[[nodiscard]] std::string scram_verifier(const std::string& password);

}  // namespace jit::pg
