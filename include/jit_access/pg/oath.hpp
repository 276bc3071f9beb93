// One-time codes as liboath computes them: HOTP (RFC 4226) with the time steps of TOTP (RFC 6238), HMAC-SHA-1, six
// digits, 30 seconds. These are the parameters that every authenticator supports. The functions throw
// std::runtime_error.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "jit_access/core/totp.hpp"

namespace jit::pg {

[[nodiscard]] core::Code6 one_time_code(std::span<const std::byte> secret, std::uint64_t step);

// Base 32 (RFC 4648) without padding.
[[nodiscard]] std::string base32(std::span<const std::byte> secret);

// The otpauth:// URI that authenticators read from a QR code. They display issuer and account.
[[nodiscard]] std::string otpauth_uri(const std::string& issuer, const std::string& account,
                                      std::span<const std::byte> secret);

}  // namespace jit::pg
