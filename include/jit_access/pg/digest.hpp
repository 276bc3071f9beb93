// SHA-256 and HMAC-SHA-256 (RFC 2104) by the server's library (common/cryptohash.h, common/hmac.h).
#pragma once

#include "jit_access/core/chain.hpp"

struct pg_cryptohash_ctx;

namespace jit::pg {

// Reusable for any number of digests. With OpenSSL the server ties the context to the current resource owner, so an
// object must not outlive its transaction. All methods throw server errors.
class ServerHasher final : public core::Hasher {
public:
    ServerHasher();
    ~ServerHasher() override;
    [[nodiscard]] core::Digest hash(std::initializer_list<core::Bytes> parts) override;
    [[nodiscard]] core::Digest mac(core::Bytes key, std::initializer_list<core::Bytes> parts) override;

private:
    pg_cryptohash_ctx* context_;
};

}  // namespace jit::pg
