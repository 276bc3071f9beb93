#include "jit_access/pg/digest.hpp"

#include "jit_access/pg/server.hpp"

extern "C" {
#include "common/cryptohash.h"
#include "common/hmac.h"
}

namespace jit::pg {

namespace {

[[noreturn]] void raise_digest_error() {
    call([] { ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute SHA-256"))); });
    pg_unreachable();
}

const std::uint8_t* octets(core::Bytes part) noexcept { return reinterpret_cast<const std::uint8_t*>(part.data()); }

}  // namespace

ServerHasher::ServerHasher() : context_(call([] { return pg_cryptohash_create(PG_SHA256); })) {
    if (context_ == nullptr) raise_digest_error();
}

ServerHasher::~ServerHasher() { pg_cryptohash_free(context_); }

core::Digest ServerHasher::hash(std::initializer_list<core::Bytes> parts) {
    core::Digest digest{};
    bool ok = pg_cryptohash_init(context_) >= 0;
    for (const auto part : parts) ok = ok && pg_cryptohash_update(context_, octets(part), part.size()) >= 0;
    ok = ok && pg_cryptohash_final(context_, reinterpret_cast<std::uint8_t*>(digest.data()), digest.size()) >= 0;
    if (!ok) raise_digest_error();
    return digest;
}

core::Digest ServerHasher::mac(core::Bytes key, std::initializer_list<core::Bytes> parts) {
    core::Digest digest{};
    auto* context = call([] { return pg_hmac_create(PG_SHA256); });
    bool ok = context != nullptr && pg_hmac_init(context, octets(key), key.size()) >= 0;
    for (const auto part : parts) ok = ok && pg_hmac_update(context, octets(part), part.size()) >= 0;
    ok = ok && pg_hmac_final(context, reinterpret_cast<std::uint8_t*>(digest.data()), digest.size()) >= 0;
    if (context != nullptr) pg_hmac_free(context);
    if (!ok) raise_digest_error();
    return digest;
}

}  // namespace jit::pg
