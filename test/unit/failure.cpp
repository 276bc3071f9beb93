// The table of errors: one SQLSTATE, one name and one meaning each.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE failure
#include "jit_access/core/failure.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <set>

using namespace jit::core;

BOOST_AUTO_TEST_CASE(one_line_per_code) {
    std::set<std::string_view> states;
    std::set<std::string_view> names;
    std::set<std::string_view> meanings;
    for (const auto& line : codes) {
        BOOST_TEST(states.insert(line.sqlstate).second, line.sqlstate);
        BOOST_TEST(names.insert(line.name).second, line.name);
        BOOST_TEST(meanings.insert(line.meaning).second, line.meaning);
        BOOST_TEST((&entry(line.code) == &line));
    }
}

BOOST_AUTO_TEST_CASE(sqlstates_are_of_class_ja) {
    for (const auto& line : codes) {
        BOOST_TEST(line.sqlstate.size() == 5U);
        BOOST_TEST(line.sqlstate.starts_with("JA"));
        // "000" stands for a whole class; otherwise a SQLSTATE consists of digits and capital letters.
        BOOST_TEST(line.sqlstate != "JA000");
        BOOST_TEST(std::all_of(line.sqlstate.begin(), line.sqlstate.end(),
                               [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); }));
    }
}

BOOST_AUTO_TEST_CASE(codes_that_people_rely_on) {
    BOOST_TEST(entry(Code::invalid_argument).sqlstate == "JA001");
    BOOST_TEST(entry(Code::not_permitted).sqlstate == "JA004");
    BOOST_TEST(entry(Code::wrong_state).sqlstate == "JA005");
    BOOST_TEST(entry(Code::own_request).sqlstate == "JA006");
    BOOST_TEST(entry(Code::grant_over).sqlstate == "JA010");
    BOOST_TEST(entry(Code::grant_unconfirmed).sqlstate == "JA011");
    BOOST_TEST(entry(Code::live_grants).sqlstate == "JA015");
    BOOST_TEST(entry(Code::guarded).sqlstate == "JA016");
    BOOST_TEST(entry(Code::not_here).sqlstate == "JA017");
}

BOOST_AUTO_TEST_CASE(a_failure_keeps_what_it_was_given) {
    try {
        throw Failure(Code::wrong_state, "message", "Detail.", "Hint.");
    } catch (const std::exception& caught) {
        const auto& failure = dynamic_cast<const Failure&>(caught);
        BOOST_TEST((failure.code == Code::wrong_state));
        BOOST_TEST(std::string(failure.what()) == "message");
        BOOST_TEST(failure.detail == "Detail.");
        BOOST_TEST(failure.hint == "Hint.");
    }
    BOOST_TEST(Failure(Code::not_here, "only this").detail.empty());
}
