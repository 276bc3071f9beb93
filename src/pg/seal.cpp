#include "jit_access/pg/seal.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include <openssl/crypto.h>
#include <openssl/evp.h>

namespace jit::pg {

namespace {

constexpr std::size_t nonce_size = std::tuple_size_v<Nonce>;
constexpr std::size_t tag_size = 16;

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

unsigned char* octets(std::byte* bytes) noexcept { return reinterpret_cast<unsigned char*>(bytes); }
const unsigned char* octets(const std::byte* bytes) noexcept { return reinterpret_cast<const unsigned char*>(bytes); }
int length(std::span<const std::byte> bytes) noexcept { return static_cast<int>(bytes.size()); }

Context context() {
    Context created(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
    if (!created) throw std::runtime_error("OpenSSL is out of memory");
    return created;
}

}  // namespace

// The first EncryptUpdate, without output, authenticates `bound_to` as additional data (AAD) of GCM.
std::vector<std::byte> seal(const SealKey& key, const Nonce& nonce, std::span<const std::byte> bound_to,
                            std::span<const std::byte> secret) {
    const auto cipher = context();
    std::vector<std::byte> sealed(nonce_size + secret.size() + tag_size);
    std::copy(nonce.begin(), nonce.end(), sealed.begin());
    std::byte* const text = sealed.data() + nonce_size;
    int written = 0;
    const bool ok =
        EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, octets(key.data()), octets(nonce.data())) == 1 &&
        EVP_EncryptUpdate(cipher.get(), nullptr, &written, octets(bound_to.data()), length(bound_to)) == 1 &&
        EVP_EncryptUpdate(cipher.get(), octets(text), &written, octets(secret.data()), length(secret)) == 1 &&
        EVP_EncryptFinal_ex(cipher.get(), octets(text + written), &written) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, tag_size, text + secret.size()) == 1;
    if (!ok) throw std::runtime_error("OpenSSL could not seal a secret");
    return sealed;
}

std::optional<std::vector<std::byte>> open_sealed(const SealKey& key, std::span<const std::byte> bound_to,
                                                  std::span<const std::byte> sealed) {
    if (sealed.size() < nonce_size + tag_size) return std::nullopt;
    const auto cipher = context();
    const auto text = sealed.subspan(nonce_size, sealed.size() - nonce_size - tag_size);
    std::array<std::byte, tag_size> tag{};
    std::copy(sealed.end() - tag_size, sealed.end(), tag.begin());
    std::vector<std::byte> secret(text.size());
    int written = 0;
    const bool ok =
        EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, octets(key.data()), octets(sealed.data())) == 1 &&
        EVP_DecryptUpdate(cipher.get(), nullptr, &written, octets(bound_to.data()), length(bound_to)) == 1 &&
        EVP_DecryptUpdate(cipher.get(), octets(secret.data()), &written, octets(text.data()), length(text)) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, tag_size, tag.data()) == 1 &&
        EVP_DecryptFinal_ex(cipher.get(), octets(secret.data() + written), &written) == 1;
    // GCM decrypts before it verifies the tag. Plaintext that failed verification must not be used or left in memory.
    if (ok) return secret;
    wipe(secret);
    return std::nullopt;
}

void wipe(std::span<std::byte> secret) noexcept { OPENSSL_cleanse(secret.data(), secret.size()); }

}  // namespace jit::pg
