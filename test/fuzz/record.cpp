// Arbitrary payloads: decoding stays within them, and a payload that is accepted is encoded to the same bytes.
#include "jit_access/core/journal_record.hpp"

#include <algorithm>

#include "fuzz.hpp"

using namespace jit::core;

namespace {

using Bytes = std::vector<std::byte>;

void check_use(const Bytes& payload) {
    const auto decoded = decode_use(payload);
    if (!decoded) return;
    CHECK(decoded->grants.size() <= max_session_grants);
    CHECK(decoded->objects.size() <= max_objects);
    Use use = decoded->use;
    use.grants = decoded->grants;
    use.objects = decoded->objects;
    Bytes again;
    encode(use, again);
    CHECK(again == payload);
}

void check_outcome(const Bytes& payload) {
    const auto outcome = decode_outcome(payload);
    CHECK(!outcome || std::ranges::equal(encode(*outcome), payload));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const Bytes payload(bytes.begin(), bytes.end());
    check_use(payload);
    check_outcome(payload);
    return 0;
}
