// The company: people with their habits, teams, and the templates of the teams.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "calendar.hpp"
#include "random.hpp"

namespace life {

struct Table {
    std::string name;  // schema.table
    std::vector<std::string> columns;
};

struct Template {
    std::int64_t id = 0;
    std::string name;
    std::size_t team = 0;
    std::vector<Table> tables;
    double rows = 0;    // median of the rows that a grant moves
    double tail = 0;    // standard deviation of their logarithm
    double effort = 0;  // relative number of statements in a grant
    bool writes = false;
    bool set_role = false;
    bool second_factor = false;
    bool rule = false;  // a rule allows it without an approval
    std::string risk;
    int approvals = 1;
    bool rare = false;  // few people request it
};

struct Person {
    std::string login;
    std::size_t team = 0;
    std::size_t site = 0;
    Day joined{};
    double starts = 9;  // local hour
    double rate = 1;    // grants per working day
    bool shifts = false;
    bool late = false;           // works in some evenings
    bool weekends = false;       // and on some Saturdays
    bool remote = false;         // works from home
    bool six = false;            // IPv6 at home
    std::optional<int> on_call;  // which week of four
    bool approves = false;
    std::size_t tool = 0;
    std::vector<std::size_t> templates;  // usual ones, most usual first
    std::vector<Day> away;               // first days of a week off
    std::optional<Day> trip;             // first day of a week at the neighbouring site
    // Returns true if the habits are so regular that a deviation raises an alert.
    [[nodiscard]] bool is_regular(Day first) const {
        return !shifts && !late && !weekends && !on_call && joined == first;
    }
};

struct World {
    std::uint64_t seed = 0;
    Day first{};
    Day end{};  // the day after the last one
    std::vector<std::string> teams;
    std::vector<Template> templates;
    std::vector<Person> people;
};

struct Size {
    std::uint64_t seed = 1;
    int days = 90;
    int people = 200;
    int templates = 30;
};

[[nodiscard]] World make_world(const Size& size, Day end, std::int64_t first_template);

// The client address of a session of this person on a day.
[[nodiscard]] std::string address_of(const World& world, std::size_t person, Day day, Random& random);
[[nodiscard]] const char* tool_of(const Person& person);

}  // namespace life
