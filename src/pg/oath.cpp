#include "jit_access/pg/oath.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <stdexcept>

#include <liboath/oath.h>

#include "jit_access/core/encoding.hpp"

namespace jit::pg {

namespace {

void check(int result) {
    static const int ready = oath_init();
    if (ready != OATH_OK || result != OATH_OK)
        throw std::runtime_error(std::string("liboath: ") + oath_strerror(ready != OATH_OK ? ready : result));
}

const char* as_chars(std::span<const std::byte> bytes) noexcept { return reinterpret_cast<const char*>(bytes.data()); }

}  // namespace

core::Code6 one_time_code(std::span<const std::byte> secret, std::uint64_t step) {
    std::array<char, core::code_digits + 1> text{};
    check(OATH_OK);  // initializes the library
    check(oath_hotp_generate(as_chars(secret), secret.size(), step, core::code_digits, false,
                             OATH_HOTP_DYNAMIC_TRUNCATION, text.data()));
    core::Code6 code{};
    std::copy_n(text.begin(), code.size(), code.begin());
    return code;
}

std::string base32(std::span<const std::byte> secret) {
    char* out = nullptr;
    std::size_t size = 0;
    check(oath_base32_encode(as_chars(secret), secret.size(), &out, &size));
    const std::unique_ptr<char, decltype(&std::free)> owner(out, &std::free);
    std::string text(out, size);
    text.resize(text.find_last_not_of('=') + 1);
    return text;
}

std::string otpauth_uri(const std::string& issuer, const std::string& account, std::span<const std::byte> secret) {
    return "otpauth://totp/" + core::percent_encode(issuer) + ':' + core::percent_encode(account) +
           "?secret=" + base32(secret) + "&issuer=" + core::percent_encode(issuer) +
           "&algorithm=SHA1&digits=6&period=30";
}

}  // namespace jit::pg
