// The arithmetic of the rules by which alerts are found.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE detection
#include "jit_access/core/detection.hpp"

#include <boost/test/unit_test.hpp>

#include <map>
#include <random>

using namespace jit::core;

namespace {

constexpr std::int64_t second = 1'000'000;
constexpr std::int64_t hour = 3600 * second;
constexpr std::int64_t day = 24 * hour;

std::vector<std::string_view> rules_for(std::string_view kind, std::string_view sqlstate = {}) {
    std::vector<std::string_view> rules;
    for (const auto* rule : rules_that_count(kind, sqlstate)) rules.push_back(rule->name);
    return rules;
}

using Rules = std::vector<std::string_view>;

}  // namespace

BOOST_AUTO_TEST_CASE(what_a_row_is_a_sign_of) {
    BOOST_TEST((rules_for("requested") == Rules{"repeated_requests"}));
    BOOST_TEST((rules_for("refusal", "JA016") == Rules{"refusal_burst"}));
    BOOST_TEST((rules_for("refusal", "JA006") == Rules{"refusal_burst", "self_approval"}));
    BOOST_TEST((rules_for("refusal", "JA018") == Rules{"refusal_burst", "trap_approval", "approval_in_block"}));
    BOOST_TEST((rules_for("refusal", "JA020") == Rules{"refusal_burst", "failed_second_factor"}));
    BOOST_TEST(rules_for("use").empty());
}

BOOST_AUTO_TEST_CASE(alerts_are_no_sign_of_anything) {
    for (const auto* kind :
         {"alert raised", "alert acknowledged", "alert closed", "alert rule changed", "suspended", "resumed"})
        BOOST_TEST(rules_for(kind).empty(), kind);
}

BOOST_AUTO_TEST_CASE(so_many_within_a_time) {
    OccurrenceWindow recent(3, 10 * second);
    BOOST_TEST(!recent.add({0, 1}));
    BOOST_TEST(!recent.add({5 * second, 2}));
    BOOST_TEST(!recent.add({11 * second, 3}), "the first one is too old");
    BOOST_TEST(recent.add({15 * second, 4}), "exactly as long ago counts");
    BOOST_TEST(recent.occurrences().size() == 3U);
    BOOST_TEST(recent.occurrences().front().seq == 2);
    BOOST_TEST(recent.add({15 * second, 5}));
    BOOST_TEST(recent.occurrences().size() == 3U, "no more than are needed");
    BOOST_TEST(!recent.add({100 * second, 6}));
    BOOST_TEST(recent.occurrences().size() == 1U);
}

BOOST_AUTO_TEST_CASE(one_is_enough_where_the_threshold_is_one) {
    OccurrenceWindow recent(1, 0);
    BOOST_TEST(recent.add({0, 1}));
    BOOST_TEST(recent.add({0, 2}));
}

BOOST_AUTO_TEST_CASE(what_comes_late_counts_at_its_own_time) {
    OccurrenceWindow recent(2, 10 * second);
    BOOST_TEST(!recent.add({100 * second, 1}));
    BOOST_TEST(!recent.add({50 * second, 2}));
    BOOST_TEST(recent.add({95 * second + 10 * second, 3}));
}

BOOST_AUTO_TEST_CASE(the_newest_are_enough) {
    std::mt19937 random(1);  // NOLINT: the same each time
    for (int round = 0; round < 200; ++round) {
        const std::size_t threshold = 1 + random() % 6;
        const std::int64_t within = random() % 20;
        OccurrenceWindow recent(threshold, within);
        std::vector<std::int64_t> all;
        std::int64_t now = 0;
        for (std::int64_t seq = 0; seq < 60; ++seq) {
            now += random() % 8;
            all.push_back(now);
            const auto count =
                std::count_if(all.begin(), all.end(), [&](std::int64_t at) { return now - at <= within; });
            BOOST_TEST(recent.add({now, seq}) == (count >= static_cast<std::ptrdiff_t>(threshold)));
        }
    }
}

BOOST_AUTO_TEST_CASE(hours_and_days) {
    BOOST_TEST(hour_of(0) == 0U);
    BOOST_TEST(hour_of(2 * day + 9 * hour) == 9U);
    BOOST_TEST(hour_of(-hour) == 23U, "before 2000");
    BOOST_TEST(day_of(-1) == -1);
    BOOST_TEST(day_of(day - 1) == 0);
    BOOST_TEST(hour_of(9 * day + 23 * hour + 59 * 60 * second) == 23U);
}

BOOST_AUTO_TEST_CASE(unusual_hours) {
    std::array<std::int32_t, hours_of_day> days{};
    for (std::size_t h = 8; h < 17; ++h) days.at(h) = 5;
    for (std::size_t h = 6; h < 19; ++h) BOOST_TEST(!is_unusual_hour(days, h), h);
    for (const std::size_t h : {3U, 22U, 0U}) BOOST_TEST(is_unusual_hour(days, h), h);
    days.at(17) = 1;
    BOOST_TEST(!is_unusual_hour(days, 19), "once in fifty days is enough");
    days.at(17) = 0;
    days.at(8) = days.at(9) = 0;
    days.at(23) = 2;
    BOOST_TEST(!is_unusual_hour(days, 1), "the hours are a circle");
    BOOST_TEST(is_unusual_hour(days, 4));
    days.at(2) = 1;
    BOOST_TEST(!is_unusual_hour(days, 6), "who is there at all hours has no usual ones");
}

BOOST_AUTO_TEST_CASE(networks) {
    BOOST_TEST(network_of(std::nullopt) == "local");
    BOOST_TEST(network_of("") == "local");
    BOOST_TEST(network_of("10.1.2.3") == "10.1.2.0/24");
    BOOST_TEST(network_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64");
    BOOST_TEST(network_of("::1") == "::/64");
    BOOST_TEST(network_of("fe80::1%eth0") == "fe80::/64");
    BOOST_TEST(network_of("some\nwhere") == "some?where");
}

BOOST_AUTO_TEST_CASE(how_much_is_much) {
    BOOST_TEST(!usual_row_limit({}).has_value());
    BOOST_TEST(!usual_row_limit(std::vector<std::int64_t>(29, 5000)).has_value(), "too few are known");
    BOOST_TEST(usual_row_limit(std::vector<std::int64_t>(30, 5000)).value() == 5000);
    BOOST_TEST(usual_row_limit(std::vector<std::int64_t>(200, 3)).value() == 100, "a crowd of rows says nothing");
    std::vector<std::int64_t> totals(100, 2000);
    for (std::size_t i = 0; i < 4; ++i) totals[i * 20] = 5000;
    BOOST_TEST(usual_row_limit(totals).value() == 2000, "a few that were more change nothing");
    totals[50] = 300'000;
    BOOST_TEST(usual_row_limit(totals).value() == 100'000, "but a third of the most has been seen");
}

BOOST_AUTO_TEST_CASE(what_is_shown_is_plain) {
    BOOST_TEST(printable("alice") == "alice");
    BOOST_TEST(printable("a b") == "a b");
    BOOST_TEST(printable("a\nb\x1b[31m\t") == "a?b?[31m?");
    BOOST_TEST(printable("a\xE2\x80\xAE"
                         "b") == "a?b",
               "what reorders");
    BOOST_TEST(printable("\xC2\x9B"
                         "1") == "?1",
               "C1 controls");
    BOOST_TEST(printable("Störung") == "Störung");
    BOOST_TEST(printable(std::string(1000, 'x')).size() == 200U);
    BOOST_TEST(printable("cut \xE2") == "cut \xE2", "what is no character stays as it is");
}
