// The decision: a table of cases, and random policies and people against a second, naive implementation.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE policy
#include "jit_access/core/policy.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "jit_access/core/duration.hpp"

using namespace jit::core;

namespace {

constexpr std::int64_t hour = 3600 * us_per_second;

PolicyFacts plain() {
    return {.policy = {.template_name = "debug_read", .approvals_needed = 2, .max_duration = 8 * hour},
            .requester = {.person = "alice", .name = "alice", .is_listed = true},
            .duration = hour,
            .now = 1000 * hour,
            .usage = {},
            .decisions = {},
            .rules = {}};
}

Decision yes(const char* person, std::uint64_t groups = 1) {
    return {.person = person, .groups = groups, .approves = true, .is_current = true};
}

std::string answer(const PolicyFacts& of) { return std::string(to_string(decide(of).answer)); }

std::string first_objection(const PolicyFacts& of) {
    const auto ruling = decide(of);
    return ruling.objections.empty() ? "" : ruling.objections.front().message + ": " + ruling.objections.front().detail;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_quorum_of_distinct_people) {
    struct Row {
        const char* what;
        std::vector<Decision> decisions;
        const char* answer;
    };
    auto stale = yes("bob");
    stale.is_current = false;
    auto no = yes("bob");
    no.approves = false;
    auto nobodys_no = no;
    nobodys_no.groups = 0;
    const std::vector<Row> rows{
        {"nobody has decided", {}, "needs approval"},
        {"one", {yes("bob")}, "needs approval"},
        {"two", {yes("bob"), yes("carol")}, "allowed"},
        {"one person twice", {yes("bob"), yes("bob", 2)}, "needs approval"},
        {"the requester", {yes("bob"), yes("alice")}, "needs approval"},
        {"who does not count", {yes("bob"), yes("carol", 0)}, "needs approval"},
        {"about something else", {stale, yes("carol")}, "needs approval"},
        {"one denial", {yes("bob"), yes("carol"), yes("dave"), {.person = "erin", .groups = 1}}, "denied"},
        {"a denial stands, even if its author is no longer an approver",
         {yes("carol"), yes("dave"), nobodys_no},
         "denied"},
    };
    for (const auto& row : rows) {
        auto facts = plain();
        facts.decisions = row.decisions;
        BOOST_TEST(answer(facts) == row.answer, row.what);
    }
}

BOOST_AUTO_TEST_CASE(distinct_groups_fit_whichever_way_they_can) {
    struct Row {
        std::vector<Decision> decisions;
        int count;
    };
    const std::vector<Row> rows{
        {{yes("bob", 1), yes("carol", 1)}, 1},
        {{yes("bob", 1), yes("carol", 2)}, 2},
        {{yes("bob", 3), yes("carol", 1)}, 2},
        {{yes("bob", 1), yes("carol", 3)}, 2},
        {{yes("bob", 3), yes("carol", 3), yes("dave", 3)}, 2},
        {{yes("bob", 3), yes("carol", 6), yes("dave", 1)}, 3},
        {{yes("bob", 7), yes("carol", 1), yes("dave", 2)}, 3},
        {{yes("bob", 7)}, 1},
        {{yes("bob", 1), yes("bob", 2)}, 1},
        {{yes("bob", std::uint64_t{1} << 63), yes("carol", std::uint64_t{1} << 63 | 1)}, 2},
    };
    for (const auto& row : rows) BOOST_TEST(count_approvals(row.decisions, "alice", true) == row.count);
}

BOOST_AUTO_TEST_CASE(objections) {
    struct Row {
        void (*change)(PolicyFacts&);
        std::string objection;
    };
    const std::vector<Row> rows{
        {[](PolicyFacts& of) { of.requester.is_superuser = true; },
         "a superuser cannot ask for access: A superuser has every privilege already, and no deadline would apply."},
        {[](PolicyFacts& of) { of.requester.is_listed = false; },
         "\"alice\" may not ask for template \"debug_read\": Neither this login nor a role it belongs to is among the "
         "template's requesters."},
        {[](PolicyFacts& of) { of.duration = 8 * hour + 1; },
         "the duration is over the maximum of template \"debug_read\": 8h 0.000001s was asked for; the maximum is 8h."},
        {[](PolicyFacts& of) {
             of.policy.person_at_once = 2;
             of.usage.person_now = 2;
         },
         "too many grants: \"alice\" has 2 of it at once; the template allows 2."},
        {[](PolicyFacts& of) {
             of.policy.person_per_day = 1;
             of.usage.person_today = 3;
         },
         "too many grants: \"alice\" has 3 of it in 24 hours; the template allows 1."},
        {[](PolicyFacts& of) {
             of.policy.template_at_once = 1;
             of.usage.template_now = 1;
         },
         "too many grants: Template \"debug_read\" has 1 grants at once; the template allows 1."},
        {[](PolicyFacts& of) {
             of.policy.template_per_day = 1;
             of.usage.template_today = 1;
         },
         "too many grants: Template \"debug_read\" has 1 grants in 24 hours; the template allows 1."},
        {[](PolicyFacts& of) {
             of.policy.cool_down = hour;
             of.usage.last_end = of.now - hour + 1;
         },
         "too soon after the last grant: It takes 1h from the end of one to the next; 59m 59.999999s have passed."},
        {[](PolicyFacts& of) {
             of.policy.cool_down = hour;
             of.usage.last_end = of.now + hour;
         },
         "too soon after the last grant: It takes 1h from the end of one to the next; 0s have passed."},
        {[](PolicyFacts& of) { of.rules = {{.name = "never"}}; },
         "rule \"never\" forbids it: A rule that denies takes precedence over rules and approvals."},
        {[](PolicyFacts& of) { of.decisions = {{.person = "bob"}}; }, "it was denied: One denial decides."},
    };
    for (const auto& row : rows) {
        auto facts = plain();
        facts.rules = {{.name = "fast", .allows = true}};
        BOOST_TEST(answer(facts) == "allowed");
        facts.rules.clear();
        facts.decisions = {yes("bob"), yes("carol")};
        row.change(facts);
        facts.rules.push_back({.name = "fast", .allows = true});
        BOOST_TEST(answer(facts) == "denied", row.objection);
        BOOST_TEST(first_objection(facts) == row.objection);
    }
}

BOOST_AUTO_TEST_CASE(what_just_fits_is_not_objected_to) {
    auto facts = plain();
    facts.policy.person_at_once = facts.policy.person_per_day = 3;
    facts.policy.template_at_once = facts.policy.template_per_day = 3;
    facts.usage = {2, 2, 2, 2, facts.now - hour};
    facts.policy.cool_down = hour;
    facts.duration = facts.policy.max_duration;
    BOOST_TEST(answer(facts) == "needs approval");
}

BOOST_AUTO_TEST_CASE(rules) {
    struct Row {
        Rule rule;
        std::int64_t duration;
        Risk risk;
        const char* answer;
    };
    const std::vector<Row> rows{
        {{.name = "r", .allows = true}, hour, Risk::high, "allowed"},
        {{.name = "r", .allows = true, .max_duration = hour}, hour, Risk::high, "allowed"},
        {{.name = "r", .allows = true, .max_duration = hour}, hour + 1, Risk::high, "needs approval"},
        {{.name = "r", .allows = true, .max_risk = Risk::medium}, hour, Risk::medium, "allowed"},
        {{.name = "r", .allows = true, .max_risk = Risk::medium}, hour, Risk::high, "needs approval"},
        {{.name = "r", .allows = true, .network_matches = false}, hour, Risk::low, "needs approval"},
        {{.name = "r"}, hour, Risk::low, "denied"},
        {{.name = "r", .network_matches = false}, hour, Risk::low, "needs approval"},
        {{.name = "r", .max_duration = hour}, hour, Risk::high, "needs approval"},
        {{.name = "r", .max_duration = hour}, hour + 1, Risk::low, "denied"},
        {{.name = "r", .max_risk = Risk::low}, hour, Risk::low, "needs approval"},
        {{.name = "r", .max_risk = Risk::low}, hour, Risk::medium, "denied"},
    };
    for (const auto& row : rows) {
        auto facts = plain();
        facts.policy.risk = row.risk;
        facts.duration = row.duration;
        facts.rules = {row.rule};
        BOOST_TEST(answer(facts) == row.answer);
    }
}

BOOST_AUTO_TEST_CASE(reasons_are_sentences_for_people) {
    auto facts = plain();
    facts.decisions = {yes("bob")};
    BOOST_TEST(decide(facts).reasons() == std::vector<std::string>{"it has 1 approval that count and needs 1 more"});
    facts.decisions.push_back(yes("carol"));
    BOOST_TEST(decide(facts).reasons() == std::vector<std::string>{"it has the 2 approvals it needs"});
    facts.rules = {{.name = "fast", .allows = true}};
    BOOST_TEST(decide(facts).reasons() == std::vector<std::string>{"rule \"fast\" allows it without an approval"});
}

// ---- random policies and people -------------------------------------------------------------------------------------

namespace {

using Random = std::mt19937_64;

std::int64_t between(Random& random, std::int64_t from, std::int64_t to) {
    return std::uniform_int_distribution<std::int64_t>(from, to)(random);
}
bool chance(Random& random, int of) { return between(random, 0, of - 1) == 0; }

const char* somebody(Random& random) {
    static constexpr const char* names[] = {"alice", "bob", "carol", "dave", "erin", "frank"};
    return names[between(random, 0, 5)];
}

Rule random_rule(Random& random) {
    Rule rule{.name = "r", .allows = chance(random, 2), .network_matches = !chance(random, 3)};
    if (chance(random, 2)) rule.max_duration = between(random, 1, 10) * hour;
    if (chance(random, 2)) rule.max_risk = static_cast<Risk>(between(random, 0, 2));
    return rule;
}

PolicyFacts random_case(Random& random) {
    PolicyFacts of = plain();
    auto& policy = of.policy;
    policy.approvals_needed = static_cast<std::int32_t>(between(random, 1, 4));
    policy.distinct_groups = chance(random, 2);
    policy.max_duration = between(random, 1, 10) * hour;
    policy.risk = static_cast<Risk>(between(random, 0, 2));
    if (chance(random, 4)) policy.cool_down = between(random, 1, 4) * hour;
    if (chance(random, 4)) policy.person_at_once = static_cast<std::int32_t>(between(random, 1, 3));
    if (chance(random, 4)) policy.template_per_day = static_cast<std::int32_t>(between(random, 1, 3));
    of.requester.is_superuser = chance(random, 20);
    of.requester.is_listed = !chance(random, 20);
    of.duration = between(random, 1, 10) * hour;
    of.usage = {between(random, 0, 3), between(random, 0, 3), between(random, 0, 3), between(random, 0, 3), {}};
    if (chance(random, 3)) of.usage.last_end = of.now - between(random, 0, 5) * hour;
    for (auto decisions = between(random, 0, 6); decisions > 0; --decisions)
        of.decisions.push_back({.person = somebody(random),
                                .groups = static_cast<std::uint64_t>(between(random, 0, 15)),
                                .approves = !chance(random, 12),
                                .is_current = !chance(random, 6)});
    for (auto rules = chance(random, 3) ? between(random, 1, 3) : 0; rules > 0; --rules)
        of.rules.push_back(random_rule(random));
    return of;
}

// Whether so many people can be assigned to distinct groups, by trying every assignment.
bool can_choose(const std::vector<std::pair<std::string, std::uint64_t>>& people, std::size_t from, int wanted,
                std::uint64_t taken) {
    if (wanted == 0) return true;
    if (from == people.size()) return false;
    if (can_choose(people, from + 1, wanted, taken)) return true;
    for (int group = 0; group < 4; ++group) {
        const auto bit = std::uint64_t{1} << group;
        if ((people[from].second & bit) != 0 && (taken & bit) == 0 &&
            can_choose(people, from + 1, wanted - 1, taken | bit))
            return true;
    }
    return false;
}

bool has_quorum(const PolicyFacts& of) {
    std::vector<std::pair<std::string, std::uint64_t>> people;
    for (const char* name : {"bob", "carol", "dave", "erin", "frank"}) {  // not alice, who is the requester
        std::uint64_t groups = 0;
        for (const auto& decision : of.decisions)
            if (decision.person == name && decision.approves && decision.is_current) groups |= decision.groups;
        if (groups != 0) people.emplace_back(name, groups);
    }
    if (!of.policy.distinct_groups) return static_cast<int>(people.size()) >= of.policy.approvals_needed;
    return can_choose(people, 0, of.policy.approvals_needed, 0);
}

bool somebody_says_no(const PolicyFacts& of) {
    return std::any_of(of.decisions.begin(), of.decisions.end(),
                       [](const Decision& decision) { return !decision.approves; }) ||
           std::any_of(of.rules.begin(), of.rules.end(), [&](const Rule& rule) {
               if (rule.allows || !rule.network_matches) return false;
               if (!rule.max_duration && !rule.max_risk) return true;
               return (rule.max_duration && of.duration > *rule.max_duration) ||
                      (rule.max_risk && of.policy.risk > *rule.max_risk);
           });
}

bool a_rule_allows(const PolicyFacts& of) {
    return std::any_of(of.rules.begin(), of.rules.end(), [&](const Rule& rule) {
        return rule.allows && rule.network_matches && !(rule.max_duration && of.duration > *rule.max_duration) &&
               !(rule.max_risk && of.policy.risk > *rule.max_risk);
    });
}

bool within_limits(const PolicyFacts& of) {
    const auto& policy = of.policy;
    const auto& usage = of.usage;
    const auto below = [](std::int64_t count, std::int32_t cap) { return cap == 0 || count < cap; };
    return !of.requester.is_superuser && of.requester.is_listed && of.duration <= policy.max_duration &&
           below(usage.person_now, policy.person_at_once) && below(usage.person_today, policy.person_per_day) &&
           below(usage.template_now, policy.template_at_once) && below(usage.template_today, policy.template_per_day) &&
           !(policy.cool_down && usage.last_end && of.now - *usage.last_end < *policy.cool_down);
}

}  // namespace

BOOST_AUTO_TEST_CASE(nothing_is_allowed_without_a_quorum_or_a_rule_and_deny_wins) {
    Random random(20250701);
    int allowed = 0;
    int denied = 0;
    int by_quorum_of_groups = 0;
    for (int i = 0; i < 300'000; ++i) {
        const auto of = random_case(random);
        const auto ruling = decide(of);
        const bool should = within_limits(of) && !somebody_says_no(of) && (a_rule_allows(of) || has_quorum(of));
        BOOST_REQUIRE_EQUAL(ruling.answer == Eligibility::allowed, should);
        BOOST_REQUIRE_EQUAL(ruling.answer == Eligibility::denied, !within_limits(of) || somebody_says_no(of));
        BOOST_REQUIRE_EQUAL(ruling.answer == Eligibility::denied, !ruling.objections.empty());
        allowed += ruling.answer == Eligibility::allowed ? 1 : 0;
        denied += ruling.answer == Eligibility::denied ? 1 : 0;
        by_quorum_of_groups += should && !ruling.rule && of.policy.distinct_groups ? 1 : 0;
    }
    // The random cases reach each of these outcomes.
    BOOST_TEST(allowed > 10'000);
    BOOST_TEST(denied > 10'000);
    BOOST_TEST(by_quorum_of_groups > 1'000);
}

BOOST_AUTO_TEST_CASE(one_more_voice_of_somebody_new_never_takes_an_approval_away) {
    Random random(42);
    for (int i = 0; i < 100'000; ++i) {
        const auto of = random_case(random);
        const auto before = count_approvals(of.decisions, "alice", of.policy.distinct_groups);
        auto decisions = of.decisions;
        std::shuffle(decisions.begin(), decisions.end(), random);
        BOOST_REQUIRE_EQUAL(count_approvals(decisions, "alice", of.policy.distinct_groups), before);
        decisions.push_back(yes("grace", static_cast<std::uint64_t>(between(random, 0, 15))));
        const auto after = count_approvals(decisions, "alice", of.policy.distinct_groups);
        BOOST_REQUIRE(after == before || after == before + 1);
    }
}

BOOST_AUTO_TEST_CASE(extensions_never_pass_the_ceiling) {
    Random random(7);
    int refused = 0;
    for (int i = 0; i < 100'000; ++i) {
        Policy policy{.template_name = "t", .max_duration = between(random, 1, 10) * hour};
        if (chance(random, 2)) policy.total_duration = policy.max_duration + between(random, 0, 10) * hour;
        policy.holder_extension = between(random, 0, 4) * hour;
        const auto ceiling = policy.total_duration.value_or(policy.max_duration);
        std::int64_t ends = 1000 * hour + between(random, 1, policy.max_duration / hour) * hour;
        std::int64_t by_holder = 0;
        for (int step = 0; step < 6; ++step) {
            const Extension extension{.activated_at = 1000 * hour,
                                      .ends_at = ends,
                                      .by = between(random, 1, 4 * hour),
                                      .by_holder = chance(random, 2),
                                      .by_holder_so_far = by_holder};
            if (objection_to(extension, policy, 1)) {
                ++refused;
                continue;
            }
            ends += extension.by;
            if (extension.by_holder) by_holder += extension.by;
        }
        BOOST_REQUIRE_LE(ends - 1000 * hour, ceiling);
        BOOST_REQUIRE_LE(by_holder, policy.holder_extension);
    }
    BOOST_TEST(refused > 1000);
}

BOOST_AUTO_TEST_CASE(windows_put_off_cut_short_or_forbid) {
    const auto now = plain().now;
    const Hours open{.limited = true, .until = now + hour / 2, .next = std::nullopt};
    const Hours later{.limited = true, .until = std::nullopt, .next = now + hour};
    const Hours never{.limited = true, .until = std::nullopt, .next = std::nullopt};
    auto facts = plain();
    facts.decisions = {yes("bob"), yes("carol")};
    facts.starts_at = now;
    BOOST_TEST(!decide(facts).windows_close_at.has_value());
    for (const auto start : {Start::when_allowed, Start::as_asked, Start::now}) {
        facts.start = start;
        facts.hours = open;
        BOOST_TEST(answer(facts) == "allowed");
        BOOST_TEST(decide(facts).windows_close_at.value() == now + hour / 2);
        facts.hours.until = now + hour;
        BOOST_TEST(!decide(facts).windows_close_at.has_value());
        facts.hours = later;
        BOOST_TEST(answer(facts) == (start == Start::when_allowed ? "allowed" : "denied"));
        BOOST_TEST(start_of_grant(start, now, later) == (start == Start::when_allowed ? now + hour : now));
        facts.hours = never;
        BOOST_TEST(answer(facts) == "denied");
        BOOST_TEST(start_of_grant(start, now, never) == now);
    }
    facts.start = Start::when_allowed;
    facts.hours = later;
    BOOST_TEST(decide(facts).windows_open_at.value() == now + hour);
}

BOOST_AUTO_TEST_CASE(a_rule_outside_of_its_windows_says_nothing) {
    auto facts = plain();
    facts.rules = {{.name = "allows", .allows = true, .windows_are_open = false},
                   {.name = "forbids", .allows = false, .windows_are_open = false}};
    BOOST_TEST(answer(facts) == "needs approval");
    facts.rules[0].windows_are_open = true;
    BOOST_TEST(answer(facts) == "allowed");
    facts.rules[1].windows_are_open = true;
    BOOST_TEST(answer(facts) == "denied");
}

BOOST_AUTO_TEST_CASE(no_extension_beyond_the_windows) {
    const auto policy = plain().policy;
    Extension extension{.activated_at = 0, .ends_at = hour, .by = hour};
    BOOST_TEST(!objection_to(extension, policy, 1).has_value());
    extension.hours = {.limited = true, .until = 2 * hour, .next = std::nullopt};
    BOOST_TEST(!objection_to(extension, policy, 1).has_value());
    extension.hours.until = 2 * hour - 1;
    BOOST_TEST(objection_to(extension, policy, 1).has_value());
    extension.hours = {.limited = true, .until = std::nullopt, .next = 2 * hour};
    BOOST_TEST(objection_to(extension, policy, 1).has_value());
}

BOOST_AUTO_TEST_CASE(where_the_requester_is_counts_when_it_is_he_who_acts) {
    auto facts = plain();
    facts.decisions = {yes("bob"), yes("carol")};
    facts.conditions.tls = true;
    BOOST_TEST(answer(facts) == "allowed");
    facts.client = Client{.connected = true};
    BOOST_TEST(answer(facts) == "denied");
    BOOST_TEST((decide(facts).objections.front().code == Code::not_from_here));
    facts.client->tls = true;
    BOOST_TEST(answer(facts) == "allowed");
}
