// Authenticated encryption of secrets: AES-256-GCM (NIST SP 800-38D) by OpenSSL. A sealed secret is bound to a context,
// for example the login. The context is not stored in the secret and must be given again to open it, so a sealed secret
// that is copied to another row cannot be opened.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace jit::pg {

using SealKey = std::array<std::byte, 32>;
using Nonce = std::array<std::byte, 12>;

// Returns nonce, ciphertext and tag. The nonce must never be used twice with one key; use a random one. Throws
// std::runtime_error.
[[nodiscard]] std::vector<std::byte> seal(const SealKey& key, const Nonce& nonce, std::span<const std::byte> bound_to,
                                          std::span<const std::byte> secret);
// Returns nullopt if the key or the context differs, or the sealed secret has been changed.
[[nodiscard]] std::optional<std::vector<std::byte>> open_sealed(const SealKey& key, std::span<const std::byte> bound_to,
                                                                std::span<const std::byte> sealed);

// Overwrites the memory in a way that the compiler cannot remove as a dead store.
void wipe(std::span<std::byte> secret) noexcept;

}  // namespace jit::pg
