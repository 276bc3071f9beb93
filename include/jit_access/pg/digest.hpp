// SHA-256 and HMAC by the server's own library, within one transaction.
#pragma once

#include "jit_access/core/chain.hpp"

struct pg_cryptohash_ctx;

namespace jit::pg {

class ServerHasher final : public core::Hasher {
public:
    ServerHasher();  // throws
    ~ServerHasher() override;
    [[nodiscard]] core::Digest hash(std::initializer_list<core::Bytes> parts) override;
    [[nodiscard]] core::Digest mac(core::Bytes key, std::initializer_list<core::Bytes> parts) override;

private:
    pg_cryptohash_ctx* context_;
};

}  // namespace jit::pg
