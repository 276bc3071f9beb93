// Passwords of temporary logins: a random one, and its verifier. Both functions throw server errors.
#pragma once

#include <string>

namespace jit::pg {

// 32 characters of an alphabet of 64 (192 bits), from pg_strong_random().
[[nodiscard]] std::string random_password();
// The SCRAM-SHA-256 verifier that pg_authid stores (RFC 5803), independent of password_encryption.
[[nodiscard]] std::string scram_verifier(const std::string& password);

}  // namespace jit::pg
