// SHA-256 and HMAC-SHA-256 by OpenSSL, for programs without a server.
#pragma once

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "jit_access/core/chain.hpp"

namespace jit::verify {

class OpenSslHasher final : public core::Hasher {
public:
    [[nodiscard]] core::Digest hash(std::initializer_list<core::Bytes> parts) override {
        core::Digest digest{};
        bool ok = EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
        for (const auto part : parts) ok = ok && EVP_DigestUpdate(context_.get(), part.data(), part.size()) == 1;
        ok = ok && EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr) == 1;
        if (!ok) throw std::runtime_error("could not compute SHA-256");
        return digest;
    }
    [[nodiscard]] core::Digest mac(core::Bytes key, std::initializer_list<core::Bytes> parts) override {
        std::vector<unsigned char> message;
        for (const auto part : parts)
            for (const auto byte : part) message.push_back(std::to_integer<unsigned char>(byte));
        core::Digest digest{};
        unsigned int size = 0;
        if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(), message.size(),
                 reinterpret_cast<unsigned char*>(digest.data()), &size) == nullptr)
            throw std::runtime_error("could not compute HMAC-SHA-256");
        return digest;
    }

private:
    struct Free {
        void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, Free> context_{EVP_MD_CTX_new()};
};

}  // namespace jit::verify
