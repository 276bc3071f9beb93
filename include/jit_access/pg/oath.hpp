// Codes by time as liboath computes them: HMAC-SHA-1, six digits, 30 seconds, what every authenticator knows.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "jit_access/core/totp.hpp"

namespace jit::pg {

// Of RFC 4226: a counter for which RFC 6238 takes the number of the step. Throws std::runtime_error.
[[nodiscard]] core::Code6 one_time_code(std::span<const std::byte> secret, std::uint64_t step);

// In base 32, without padding.
[[nodiscard]] std::string base32(std::span<const std::byte> secret);

// What authenticators read from a QR code. Issuer and account are shown to the person.
[[nodiscard]] std::string otpauth_uri(const std::string& issuer, const std::string& account,
                                      std::span<const std::byte> secret);

}  // namespace jit::pg
