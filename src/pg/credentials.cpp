#include "jit_access/pg/credentials.hpp"

#include <array>

#include "jit_access/pg/server.hpp"

extern "C" {
#include "libpq/crypt.h"
#include "port.h"
}

namespace jit::pg {

std::string random_password() {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::array<unsigned char, 32> random{};
    call([&] {
        if (!pg_strong_random(random.data(), random.size())) elog(ERROR, "could not generate random bytes");
    });
    // 64 divides 256, so every character is equally likely.
    std::string password;
    for (const auto byte : random) password += alphabet[byte % alphabet.size()];
    return password;
}

std::string scram_verifier(const std::string& password) {
    return call([&] { return encrypt_password(PASSWORD_TYPE_SCRAM_SHA_256, "", password.c_str()); });
}

}  // namespace jit::pg
