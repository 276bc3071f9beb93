// Break-glass in the policy: by responders, for a short time, with caps, and never while an earlier one is unreviewed.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE break_glass
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>

#include "jit_access/core/duration.hpp"
#include "jit_access/core/lifecycle.hpp"
#include "jit_access/core/policy.hpp"

using namespace jit::core;

namespace {

constexpr std::int64_t minute = 60 * us_per_second;
constexpr std::int64_t hour = 60 * minute;

PolicyFacts good() {
    return {.kind = RequestKind::break_glass,
            .policy = {.template_name = "prod",
                       .approvals_needed = 2,
                       .max_duration = 8 * hour,
                       .holder_extension = hour,
                       .break_glass_duration = hour},
            .requester = {.person = "person Rita", .name = "rita"},
            .duration = hour,
            .break_glass = {.is_responder = true}};
}

std::string first_objection(const PolicyFacts& of) {
    const auto ruling = decide(of);
    BOOST_TEST((ruling.answer == Eligibility::denied) == !ruling.objections.empty());
    if (ruling.objections.empty()) return {};
    return std::string(entry(ruling.objections.front().code).sqlstate) + " " + ruling.objections.front().message;
}

}  // namespace

BOOST_AUTO_TEST_CASE(it_needs_no_approval_and_is_reviewed) {
    const auto ruling = decide(good());
    BOOST_TEST((ruling.answer == Eligibility::allowed));
    BOOST_TEST(ruling.missing == 0);
    BOOST_TEST(
        ruling.reasons() == std::vector<std::string>{"it is a break-glass: it needs no approval, and a review follows"},
        boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_request_of_a_responder_needs_what_others_need) {
    auto of = good();
    of.kind = RequestKind::request;
    BOOST_TEST(first_objection(of) == "JA004 \"rita\" may not ask for template \"prod\"");
    of.requester.is_listed = true;
    BOOST_TEST(decide(of).missing == 2);
    // An unreviewed break-glass does not prevent ordinary requests, which an approver decides.
    of.break_glass.unreviewed = 7;
    BOOST_TEST((decide(of).answer == Eligibility::needs_approval));
}

BOOST_AUTO_TEST_CASE(each_objection) {
    const auto with = [](auto change) {
        auto of = good();
        change(of);
        return first_objection(of);
    };
    BOOST_TEST(with([](PolicyFacts& of) { of.break_glass.is_responder = false; }) ==
               "JA004 \"rita\" may not break the glass for template \"prod\"");
    BOOST_TEST(with([](PolicyFacts& of) { of.break_glass.is_responder = false, of.requester.is_listed = true; }) ==
               "JA004 \"rita\" may not break the glass for template \"prod\"");
    BOOST_TEST(with([](PolicyFacts& of) { of.requester.is_superuser = true; }) ==
               "JA004 a superuser cannot ask for access");
    BOOST_TEST(with([](PolicyFacts& of) { of.policy.break_glass_duration.reset(); }) ==
               "JA004 there is no break-glass for template \"prod\"");
    BOOST_TEST(with([](PolicyFacts& of) { ++of.duration; }) ==
               "JA009 the duration exceeds the break-glass maximum of template \"prod\"");
    BOOST_TEST(with([](PolicyFacts& of) { of.policy.max_duration = minute; }) ==
               "JA009 the duration is over the maximum of template \"prod\"");
    BOOST_TEST(with([](PolicyFacts& of) { of.break_glass.unreviewed = 7; }) ==
               "JA022 break-glass 7 has not been reviewed");
    BOOST_TEST(with([](PolicyFacts& of) { of.break_glass.today = 1, of.policy.break_glass_per_day = 1; }) ==
               "JA009 too many grants");
    BOOST_TEST(with([](PolicyFacts& of) { of.break_glass.today = 9; }) == "");
    BOOST_TEST(with([](PolicyFacts& of) { of.usage.template_now = 2, of.policy.template_at_once = 2; }) ==
               "JA009 too many grants");
    BOOST_TEST(with([](PolicyFacts& of) { of.rules = {{.name = "never", .max_duration = minute}}; }) ==
               "JA004 rule \"never\" forbids it");
}

BOOST_AUTO_TEST_CASE(a_rule_that_allows_adds_nothing) {
    auto of = good();
    of.rules = {{.name = "all", .allows = true}};
    BOOST_TEST(!decide(of).rule);
    of.break_glass.is_responder = false;
    BOOST_TEST((decide(of).answer == Eligibility::denied));
    of.break_glass = {.is_responder = true, .unreviewed = 1};
    BOOST_TEST((decide(of).answer == Eligibility::denied));
}

// Random facts: a break-glass is allowed only if all of this holds.
BOOST_AUTO_TEST_CASE(what_passes) {
    std::mt19937_64 random(20);  // NOLINT(cert-msc51-cpp): the same cases each time
    const auto pick = [&](std::int64_t below) {
        return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(below));
    };
    const auto likely = [&] { return pick(8) != 0; };
    int passed = 0;
    for (int i = 0; i < 200'000; ++i) {
        PolicyFacts of{
            .kind = RequestKind::break_glass,
            .policy = {.template_name = "prod",
                       .approvals_needed = static_cast<std::int32_t>(1 + pick(10)),
                       .max_duration = hour + pick(4) * hour,
                       .template_at_once = static_cast<std::int32_t>(pick(3)),
                       .break_glass_per_day = static_cast<std::int32_t>(pick(3))},
            .requester = {.person = "person Rita", .name = "rita", .is_superuser = !likely(), .is_listed = likely()},
            .duration = 1 + pick(3 * hour),
            .break_glass = {.is_responder = likely(), .today = pick(3)}};
        if (likely()) of.policy.break_glass_duration = pick(3 * hour);
        if (!likely()) of.break_glass.unreviewed = pick(100);
        of.usage.template_now = pick(3);
        if (likely()) of.rules.push_back({.name = "a", .allows = likely(), .network_matches = likely()});
        for (auto n = pick(3); n > 0; --n)
            of.decisions.push_back(
                {.person = "login " + std::to_string(n), .groups = 1, .approves = likely(), .is_current = likely()});
        if (decide(of).answer != Eligibility::allowed) continue;
        ++passed;
        BOOST_TEST_REQUIRE((of.break_glass.is_responder && !of.break_glass.unreviewed && !of.requester.is_superuser));
        BOOST_TEST_REQUIRE((of.policy.break_glass_duration && of.duration <= *of.policy.break_glass_duration));
        BOOST_TEST_REQUIRE(of.duration <= of.policy.max_duration);
        BOOST_TEST_REQUIRE(
            (of.policy.break_glass_per_day == 0 || of.break_glass.today < of.policy.break_glass_per_day));
        BOOST_TEST_REQUIRE((of.policy.template_at_once == 0 || of.usage.template_now < of.policy.template_at_once));
        BOOST_TEST_REQUIRE(std::none_of(of.rules.begin(), of.rules.end(),
                                        [](const Rule& rule) { return !rule.allows && rule.network_matches; }));
        BOOST_TEST_REQUIRE(std::all_of(of.decisions.begin(), of.decisions.end(),
                                       [](const Decision& decision) { return decision.approves; }));
    }
    BOOST_TEST(passed > 1'000);
}

BOOST_AUTO_TEST_CASE(it_is_not_extended_by_its_holder_nor_beyond_its_duration) {
    const auto policy = good().policy;
    Extension extension{.activated_at = 0, .ends_at = 30 * minute, .by = 30 * minute, .break_glass = true};
    BOOST_TEST(!objection_to(extension, policy, 7));
    ++extension.by;
    BOOST_TEST((objection_to(extension, policy, 7).value().code == Code::limit_exceeded));
    extension = {.activated_at = 0, .ends_at = minute, .by = 1, .by_holder = true, .break_glass = true};
    BOOST_TEST((objection_to(extension, policy, 7).value().code == Code::not_permitted));
    auto without = policy;
    without.break_glass_duration.reset();
    extension.by_holder = false;
    BOOST_TEST((objection_to(extension, without, 7).value().code == Code::limit_exceeded));
}

BOOST_AUTO_TEST_CASE(the_state_that_an_event_leads_to) {
    BOOST_TEST((state_after("requested") == State::pending));
    for (const auto& transition : transitions) BOOST_TEST((state_after(to_past(transition.event)) == transition.to));
    for (const auto* other : {"approved", "extended", "drift", "break-glass", "", "activate"})
        BOOST_TEST(!state_after(other).has_value());
}
