// The life cycle against an independent expectation: a grid of states and events.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE lifecycle
#include "jit_access/core/lifecycle.hpp"

#include <boost/test/unit_test.hpp>
#include <map>
#include <set>
#include <string>

using namespace jit::core;

namespace {

constexpr State states[] = {State::pending, State::denied,    State::cancelled, State::lapsed, State::scheduled,
                            State::active,  State::suspended, State::ended,     State::revoked};
constexpr Event events[] = {Event::deny,    Event::cancel, Event::lapse, Event::schedule, Event::activate,
                            Event::suspend, Event::resume, Event::end,   Event::revoke};

// The next state for each state and event, in the order of `events`; "-": not allowed.
const std::map<std::string, std::array<std::string, 9>> grid{
    //               deny      cancel       lapse     schedule     activate  suspend      resume    end      revoke
    {"pending", {"denied", "cancelled", "lapsed", "scheduled", "active", "-", "-", "-", "-"}},
    {"scheduled", {"-", "cancelled", "lapsed", "-", "active", "-", "-", "-", "revoked"}},
    {"active", {"-", "-", "-", "-", "-", "suspended", "-", "ended", "revoked"}},
    {"suspended", {"-", "-", "-", "-", "-", "-", "active", "ended", "revoked"}},
    {"denied", {"-", "-", "-", "-", "-", "-", "-", "-", "-"}},
    {"cancelled", {"-", "-", "-", "-", "-", "-", "-", "-", "-"}},
    {"lapsed", {"-", "-", "-", "-", "-", "-", "-", "-", "-"}},
    {"ended", {"-", "-", "-", "-", "-", "-", "-", "-", "-"}},
    {"revoked", {"-", "-", "-", "-", "-", "-", "-", "-", "-"}},
};

std::string following(State from, Event event) {
    const auto to = next(from, event);
    return to ? std::string(to_string(*to)) : "-";
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_state_and_event) {
    BOOST_TEST(grid.size() == state_count);
    BOOST_TEST(std::size(events) == event_count);
    for (const State from : states)
        for (std::size_t i = 0; i < event_count; ++i)
            BOOST_TEST(following(from, events[i]) == grid.at(std::string(to_string(from)))[i],
                       to_string(from) << " + " << to_string(events[i]));
}

BOOST_AUTO_TEST_CASE(terminal_states) {
    const std::set<State> terminal{State::denied, State::cancelled, State::lapsed, State::ended, State::revoked};
    for (const State state : states) {
        BOOST_TEST(is_terminal(state) == terminal.contains(state), to_string(state));
        bool leads_on = false;
        for (const Event event : events) leads_on = leads_on || next(state, event).has_value();
        BOOST_TEST(leads_on != is_terminal(state), to_string(state));
    }
}

BOOST_AUTO_TEST_CASE(no_way_back_to_pending_and_none_from_an_end_to_active) {
    for (const State from : states)
        for (const Event event : events) {
            BOOST_TEST((next(from, event) != State::pending));
            if (is_terminal(from)) BOOST_TEST(!next(from, event).has_value());
        }
}

BOOST_AUTO_TEST_CASE(every_state_can_be_reached) {
    std::set<State> reached{State::pending};
    for (std::size_t round = 0; round < state_count; ++round)
        for (const State from : std::set<State>(reached))
            for (const Event event : events)
                if (const auto to = next(from, event)) reached.insert(*to);
    BOOST_TEST(reached.size() == state_count);
}

BOOST_AUTO_TEST_CASE(each_transition_stands_once) {
    std::set<std::pair<State, Event>> seen;
    for (const auto& t : transitions) BOOST_TEST(seen.emplace(t.from, t.event).second);
}

BOOST_AUTO_TEST_CASE(names_of_states_are_unique_and_read_back) {
    std::set<std::string_view> names;
    for (const State state : states) {
        BOOST_TEST(names.insert(to_string(state)).second);
        BOOST_TEST((state_from(to_string(state)) == state));
    }
    for (const char* wrong : {"", "Pending", "pending ", "activ", "actived", "pending\n"})
        BOOST_TEST(!state_from(wrong).has_value(), wrong);
}

BOOST_AUTO_TEST_CASE(names_of_events_are_unique) {
    std::set<std::string_view> names;
    std::set<std::string_view> pasts;
    for (const Event event : events) {
        BOOST_TEST(names.insert(to_string(event)).second);
        BOOST_TEST(pasts.insert(to_past(event)).second);
    }
    BOOST_TEST(to_past(Event::deny) == "denied");
    BOOST_TEST(to_past(Event::cancel) == "cancelled");
    BOOST_TEST(to_past(Event::activate) == "activated");
    BOOST_TEST(to_past(Event::end) == "ended");
}
