// Durations: every fault, the extremes of every field, and intervals whose comparison and addition disagree.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE duration
#include "jit_access/core/duration.hpp"

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <limits>
#include <set>

using namespace jit::core;

namespace {

constexpr auto min32 = std::numeric_limits<std::int32_t>::min();
constexpr auto max32 = std::numeric_limits<std::int32_t>::max();
constexpr auto min64 = std::numeric_limits<std::int64_t>::min();
constexpr auto max64 = std::numeric_limits<std::int64_t>::max();

bool is(const DurationResult& result, DurationFault fault) { return result.fault == fault && result.microseconds == 0; }
bool is(const DurationResult& result, std::int64_t microseconds) {
    return !result.fault && result.microseconds == microseconds;
}

}  // namespace

BOOST_AUTO_TEST_CASE(plain_durations) {
    BOOST_TEST(is(reduce({0, 0, us_per_second}), us_per_second));
    BOOST_TEST(is(reduce({0, 0, 7200 * us_per_second}), 7200 * us_per_second));
    BOOST_TEST(is(reduce({0, 1, 0}), 86'400'000'000));
    BOOST_TEST(is(reduce({0, 3, 1}), 3 * us_per_day + 1));
}

BOOST_AUTO_TEST_CASE(days_and_time_of_opposite_sign_add_up) {
    BOOST_TEST(is(reduce({0, 1, -us_per_second}), us_per_day - us_per_second));
    BOOST_TEST(is(reduce({0, -1, us_per_day + us_per_second}), us_per_second));
    BOOST_TEST(is(reduce({0, -1, us_per_day}), DurationFault::not_positive));
}

BOOST_AUTO_TEST_CASE(the_shortest_and_the_longest) {
    BOOST_TEST(is(reduce({0, 0, 1}), DurationFault::too_short));
    BOOST_TEST(is(reduce({0, 0, us_per_second - 1}), DurationFault::too_short));
    BOOST_TEST(is(reduce({0, 0, us_per_second}), us_per_second));
    BOOST_TEST(is(reduce({0, 3660, 0}), max_duration));
    BOOST_TEST(is(reduce({0, 3660, 1}), DurationFault::too_long));
    BOOST_TEST(is(reduce({0, 0, max_duration}), max_duration));
    BOOST_TEST(is(reduce({0, 0, max_duration + 1}), DurationFault::too_long));
}

BOOST_AUTO_TEST_CASE(zero_and_negative) {
    BOOST_TEST(is(reduce({}), DurationFault::not_positive));
    BOOST_TEST(is(reduce({0, 0, -1}), DurationFault::not_positive));
    BOOST_TEST(is(reduce({0, -1, 0}), DurationFault::not_positive));
    BOOST_TEST(is(reduce({0, 0, min64}), DurationFault::not_positive));
    BOOST_TEST(is(reduce({0, -106'751'991, 0}), DurationFault::not_positive));
}

BOOST_AUTO_TEST_CASE(months_are_refused_with_any_other_fields) {
    // Compares as less than a day, adds 525 days.
    BOOST_TEST(is(reduce({1200, -35999, 0}), DurationFault::months));
    BOOST_TEST(is(reduce({1, 0, 0}), DurationFault::months));
    BOOST_TEST(is(reduce({-1, 31, us_per_day}), DurationFault::months));
    BOOST_TEST(is(reduce({min32, 0, 0}), DurationFault::months));
    BOOST_TEST(is(reduce({max32, 0, 0}), DurationFault::months));
}

BOOST_AUTO_TEST_CASE(infinity_is_all_fields_at_their_end) {
    BOOST_TEST(is(reduce({max32, max32, max64}), DurationFault::infinite));
    BOOST_TEST(is(reduce({min32, min32, min64}), DurationFault::infinite));
    // With one field less than the extreme it is finite.
    BOOST_TEST(is(reduce({max32, max32, max64 - 1}), DurationFault::months));
    BOOST_TEST(is(reduce({max32 - 1, max32, max64}), DurationFault::months));
    BOOST_TEST(is(reduce({min32, min32 + 1, min64}), DurationFault::months));
}

BOOST_AUTO_TEST_CASE(overflow) {
    BOOST_TEST(is(reduce({0, 0, max64}), DurationFault::too_long));
    BOOST_TEST(is(reduce({0, 106'751'991, 0}), DurationFault::too_long));
    BOOST_TEST(is(reduce({0, 1, max64}), DurationFault::overflow));
    BOOST_TEST(is(reduce({0, -1, min64}), DurationFault::overflow));
    BOOST_TEST(is(reduce({0, 106'751'992, 0}), DurationFault::overflow));
    BOOST_TEST(is(reduce({0, max32, 0}), DurationFault::overflow));
    BOOST_TEST(is(reduce({0, max32, max64}), DurationFault::overflow));
    BOOST_TEST(is(reduce({0, min32, min64}), DurationFault::overflow));
    // Days that are a little more than a multiple of 2^64 microseconds.
    BOOST_TEST(is(reduce({0, 213'503'983, 0}), DurationFault::overflow));
    BOOST_TEST(is(reduce({0, 427'007'965, 0}), DurationFault::overflow));
}

// Random fields: the result is a fault, or a duration between one second and the maximum.
BOOST_AUTO_TEST_CASE(corners_of_every_field) {
    for (const std::int32_t months : {min32, -1, 0, 1, max32})
        for (const std::int32_t days : {min32, min32 + 1, -3660, -1, 0, 1, 3660, 3661, max32 - 1, max32})
            for (const std::int64_t us : {min64, min64 + 1, -us_per_day, std::int64_t{-1}, std::int64_t{0},
                                          std::int64_t{1}, us_per_second, us_per_day, max64 - 1, max64}) {
                const auto result = reduce({months, days, us});
                if (result.fault) {
                    BOOST_TEST(result.microseconds == 0);
                    continue;
                }
                BOOST_TEST(months == 0);
                BOOST_TEST(result.microseconds >= us_per_second);
                BOOST_TEST(result.microseconds <= max_duration);
                BOOST_TEST((result.microseconds == __int128{days} * us_per_day + us));
            }
}

BOOST_AUTO_TEST_CASE(every_fault_is_explained_in_its_own_sentence) {
    std::set<std::string> sentences;
    for (const auto fault : {DurationFault::months, DurationFault::infinite, DurationFault::overflow,
                             DurationFault::not_positive, DurationFault::too_short, DurationFault::too_long}) {
        const std::string sentence = explain(fault);
        BOOST_TEST(!sentence.empty());
        BOOST_TEST(sentence.back() == '.');
        BOOST_TEST(sentences.insert(sentence).second);
    }
}

BOOST_AUTO_TEST_CASE(as_text) {
    BOOST_TEST(format_duration(0) == "0s");
    BOOST_TEST(format_duration(1) == "0.000001s");
    BOOST_TEST(format_duration(us_per_second) == "1s");
    BOOST_TEST(format_duration(1'500'000) == "1.5s");
    BOOST_TEST(format_duration(1'000'001) == "1.000001s");
    BOOST_TEST(format_duration(60 * us_per_second) == "1m");
    BOOST_TEST(format_duration(7200 * us_per_second) == "2h");
    BOOST_TEST(format_duration(us_per_day + 30 * 60 * us_per_second) == "1d 30m");
    BOOST_TEST(format_duration(us_per_day) == "1d");
    BOOST_TEST(format_duration(max_duration) == "3660d");
    BOOST_TEST(format_duration(us_per_day - 1) == "23h 59m 59.999999s");
    BOOST_TEST(format_duration(-us_per_day) == "-1d");
    BOOST_TEST(format_duration(max64) == "106751991d 4h 54.775807s");
    BOOST_TEST(format_duration(min64) == "-106751991d 4h 54.775808s");
}
