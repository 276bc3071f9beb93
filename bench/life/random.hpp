// Random numbers that are the same on every platform for the same seed. The distributions of the standard library are
// not.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <vector>

namespace life {

class Random {
public:
    // The numbers after the seed identify the purpose, so that an additional draw for one purpose does not change the
    // others.
    template <class... Parts>
    explicit Random(std::uint64_t seed, Parts... of) : state_(mix(seed)) {
        ((state_ = mix(state_ ^ (static_cast<std::uint64_t>(of) + 0x632BE59BD9B4E019U))), ...);
    }

    std::uint64_t next() { return mix(state_ += 0x9E3779B97F4A7C15U); }  // splitmix64
    double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
    bool chance(double p) { return uniform() < p; }
    std::int64_t between(std::int64_t low, std::int64_t high) {  // inclusive
        return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
    }
    double normal() {
        const double radius = std::sqrt(-2 * std::log(1 - uniform()));
        return radius * std::cos(2 * std::numbers::pi * uniform());
    }
    double lognormal(double median, double sigma) { return median * std::exp(sigma * normal()); }
    int poisson(double mean) {
        int count = 0;
        for (double rest = uniform(), p = std::exp(-mean); rest > p && count < 1000; ++count)
            rest -= p, p *= mean / (count + 1);
        return count;
    }
    template <class T>
    const T& pick(const std::vector<T>& of) {
        return of[static_cast<std::size_t>(between(0, static_cast<std::int64_t>(of.size()) - 1))];
    }
    // Returns an index below n; the k-th index has the weight 1/k.
    std::size_t pick_first(std::size_t n) {
        double all = 0;
        for (std::size_t k = 1; k <= n; ++k) all += 1.0 / static_cast<double>(k);
        double rest = uniform() * all;
        for (std::size_t k = 1; k < n; ++k)
            if ((rest -= 1.0 / static_cast<double>(k)) < 0) return k - 1;
        return n - 1;
    }

private:
    static std::uint64_t mix(std::uint64_t z) {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        return z ^ (z >> 31);
    }
    std::uint64_t state_;
};

}  // namespace life
