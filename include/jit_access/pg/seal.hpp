// A secret sealed with a key: AES-256-GCM by OpenSSL. What it is bound to is not in it, but has to be named again to
// open it.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace jit::pg {

using SealKey = std::array<std::byte, 32>;
using Nonce = std::array<std::byte, 12>;

// The nonce (never twice with one key: a random one), what was sealed, the tag. Throws std::runtime_error.
[[nodiscard]] std::vector<std::byte> seal(const SealKey& key, const Nonce& nonce, std::span<const std::byte> bound_to,
                                          std::span<const std::byte> secret);
// Nothing: another key, bound to something else, or changed.
[[nodiscard]] std::optional<std::vector<std::byte>> open_sealed(const SealKey& key, std::span<const std::byte> bound_to,
                                                                std::span<const std::byte> sealed);

// Overwrites, whatever the compiler thinks of it.
void wipe(std::span<std::byte> secret) noexcept;

}  // namespace jit::pg
