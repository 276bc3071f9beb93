// Windows as stretches of time: whether they are open, until when, and when they open next, also against a model that
// checks every minute.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE window
#include "jit_access/core/opening_hours.hpp"

#include <boost/test/unit_test.hpp>
#include <random>

using namespace jit::core;

namespace {

using Stretches = std::vector<Stretch>;

Hours open_until(std::int64_t until) { return {.limited = true, .until = until, .next = std::nullopt}; }
Hours opens_at(std::int64_t next) { return {.limited = true, .until = std::nullopt, .next = next}; }
const Hours shut{.limited = true, .until = std::nullopt, .next = std::nullopt};

}  // namespace

namespace jit::core {

std::ostream& boost_test_print_type(std::ostream& out, const Stretch& stretch) {
    return out << '[' << stretch.from << ',' << stretch.to << ')';
}
std::ostream& boost_test_print_type(std::ostream& out, const Hours& hours) {
    out << (hours.limited ? "limited" : "unlimited");
    if (hours.until) out << " until " << *hours.until;
    if (hours.next) out << " next " << *hours.next;
    return out;
}

}  // namespace jit::core

BOOST_AUTO_TEST_CASE(without_windows_everything_is_open) {
    BOOST_TEST(Hours{}.open());
    BOOST_TEST(!shut.open());
    BOOST_TEST(open_until(5).open());
    BOOST_TEST(!opens_at(5).open());
}

BOOST_AUTO_TEST_CASE(the_first_moment_belongs_to_it_and_the_last_does_not) {
    const Stretches open{{10, 20}};
    BOOST_TEST(hours_at(9, open, {}) == opens_at(10));
    BOOST_TEST(hours_at(10, open, {}) == open_until(20));
    BOOST_TEST(hours_at(19, open, {}) == open_until(20));
    BOOST_TEST(hours_at(20, open, {}) == shut);
}

BOOST_AUTO_TEST_CASE(adjacent_and_overlapping_ones_are_one) {
    BOOST_TEST(merged({{30, 40}, {10, 20}, {20, 30}}) == (Stretches{{10, 40}}));
    BOOST_TEST(merged({{10, 50}, {20, 30}}) == (Stretches{{10, 50}}));
    BOOST_TEST(merged({{10, 20}, {21, 30}}) == (Stretches{{10, 20}, {21, 30}}));
    BOOST_TEST(merged({{10, 20}, {10, 20}}) == (Stretches{{10, 20}}));
    BOOST_TEST(hours_at(12, {{10, 20}, {20, 30}, {25, 40}}, {}) == open_until(40));
}

BOOST_AUTO_TEST_CASE(what_ends_before_it_begins_is_none) {
    BOOST_TEST(merged({{10, 10}, {20, 15}}).empty());
    BOOST_TEST(hours_at(10, {{10, 10}}, {}) == shut);
    BOOST_TEST(hours_at(12, {{10, 20}}, {{15, 15}}) == open_until(20));
}

BOOST_AUTO_TEST_CASE(closed_wins) {
    const Stretches open{{10, 50}};
    BOOST_TEST(without(open, {{20, 30}}) == (Stretches{{10, 20}, {30, 50}}));
    BOOST_TEST(without(open, {{5, 10}}) == open);
    BOOST_TEST(without(open, {{50, 60}}) == open);
    BOOST_TEST(without(open, {{5, 60}}).empty());
    BOOST_TEST(without(open, {{5, 20}, {40, 60}}) == (Stretches{{20, 40}}));
    BOOST_TEST(without({{10, 20}, {30, 40}}, {{15, 35}}) == (Stretches{{10, 15}, {35, 40}}));
    BOOST_TEST(hours_at(15, open, {{20, 30}}) == open_until(20));
    BOOST_TEST(hours_at(20, open, {{20, 30}}) == opens_at(30));
    BOOST_TEST(hours_at(20, open, {{20, 60}}) == shut);
}

BOOST_AUTO_TEST_CASE(against_a_model_that_looks_at_every_minute) {
    constexpr int minutes = 120;
    std::mt19937 random(20261124);  // NOLINT: the same each time
    const auto number = [&](int below) { return static_cast<std::int64_t>(random() % static_cast<unsigned>(below)); };
    const auto some = [&] {
        Stretches stretches;
        for (auto left = number(6); left > 0; --left) {
            const auto from = number(minutes);
            stretches.push_back({from, from + number(30) - 3});
        }
        return stretches;
    };
    const auto inside = [](const Stretches& stretches, std::int64_t minute) {
        return std::any_of(stretches.begin(), stretches.end(),
                           [&](const Stretch& stretch) { return stretch.from <= minute && minute < stretch.to; });
    };
    for (int round = 0; round < 20'000; ++round) {
        const auto open = some();
        const auto closed = some();
        const auto is_open = [&](std::int64_t minute) { return inside(open, minute) && !inside(closed, minute); };
        const auto moment = number(minutes + 40);
        auto other = moment;
        constexpr int end = 2 * minutes;
        while (other < end && is_open(other) == is_open(moment)) ++other;
        const Hours expected = is_open(moment) ? open_until(other) : other < end ? opens_at(other) : shut;
        BOOST_REQUIRE(hours_at(moment, open, closed) == expected);
    }
}

BOOST_AUTO_TEST_CASE(moments_are_written_in_utc) {
    constexpr std::int64_t second = 1'000'000;
    BOOST_TEST(format_moment(0) == "2000-01-01 00:00:00 UTC");
    BOOST_TEST(format_moment(-1) == "1999-12-31 23:59:59 UTC");
    BOOST_TEST(format_moment(-second) == "1999-12-31 23:59:59 UTC");
    BOOST_TEST(format_moment(59 * 86'400 * second) == "2000-02-29 00:00:00 UTC");
    BOOST_TEST(format_moment(849'258'000 * second + 999'999) == "2026-11-29 09:00:00 UTC");
}
