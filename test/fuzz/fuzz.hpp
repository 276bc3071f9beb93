// Common parts of the fuzz harnesses. Each harness is one function that takes bytes; libFuzzer (`make fuzz`) or
// driver.cpp
// (`make test`) calls it. The bytes are read in order; after the last one, reads return zeroes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                \
        }                                                                                \
    } while (false)

namespace fuzz {

class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

    template <class T>
    T number() {
        T value{};
        const auto bytes = take(sizeof value);
        if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
        return value;
    }

    std::span<const std::uint8_t> take(std::size_t most) {
        const auto taken = rest_.first(most < rest_.size() ? most : rest_.size());
        rest_ = rest_.subspan(taken.size());
        return taken;
    }

    [[nodiscard]] bool empty() const { return rest_.empty(); }

private:
    std::span<const std::uint8_t> rest_;
};

}  // namespace fuzz
