// A slice of the record, as the rules see it: uses added up by grant and session, everything else row by row; and how a
// rule says what it has found.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jit_access/alert.hpp"
#include "jit_access/core/entry.hpp"

namespace jit::watch {

struct Who {
    core::PersonId person;
    std::string shown;
};

// A row that is no use.
struct Seen {
    std::int64_t seq = 0;
    std::int64_t at = 0;
    std::string kind;
    std::string sqlstate;
    std::string login;
    std::optional<std::int64_t> grant;
    bool is_inside = false;  // of another statement: code may have sent it
    std::optional<std::string> template_name;
    std::optional<std::string> holder;  // of the grant
    std::optional<std::string> member;  // who was given something by hand
    std::optional<std::string> what;
    std::optional<std::string> verdict;
    std::optional<std::int64_t> seconds;
    std::optional<std::int64_t> template_id;
};

// What a session has done under a grant.
struct Used {
    std::int64_t grant = 0;
    std::int64_t first = 0;  // seq
    std::int64_t last = 0;
    std::int64_t at = 0;    // of the last one
    std::int64_t rows = 0;  // that its client has moved
    std::string login;
    std::optional<std::string> client;
};

// A slice added up, row by row in their order: uses are the mass, of all others the number is enough to find them.
class Tally {
public:
    void add(const core::Entry& entry);

    std::int64_t from = 0;  // behind this row
    std::int64_t to = 0;
    std::int64_t at = 0;  // of the newest row
    std::vector<Used> used;
    std::vector<std::int64_t> outcomes;
    std::vector<std::int64_t> others;

private:
    std::map<std::pair<std::int64_t, std::int32_t>, std::size_t> places_;  // by grant and process
};
[[nodiscard]] Tally add_up(std::int64_t from, std::int64_t to);

struct Slice {
    std::int64_t from = 0;
    std::int64_t to = 0;
    std::int64_t at = 0;
    std::vector<Seen> seen;
    std::vector<Used> used;
    std::vector<Used> late;  // rows of statements that were running when they were taken over
};
[[nodiscard]] Slice look_at(Tally tally);

// A login of the record as a person. Asked for once in a slice.
class People {
public:
    const Who& of(const std::string& login);

private:
    std::map<std::string, Who> known_;
};

// What rules say of one slice: findings about one person and grant are one.
class Findings {
public:
    void add(const alert::Finding& finding);
    [[nodiscard]] const std::vector<alert::Finding>& all() const noexcept { return all_; }

private:
    std::vector<alert::Finding> all_;
};

// Each of these keeps in its tables what it needs of the slice, and answers what it has found, if the rule is enabled.
void count(const alert_rule::Rule& rule, const Slice& slice, People& people);
void unusual_hours(const alert_rule::Rule& rule, const Slice& slice, People& people);
void unusual_template(const alert_rule::Rule& rule, const Slice& slice, People& people);
void new_network(const alert_rule::Rule& rule, const Slice& slice, People& people);
void unusual_rows(const alert_rule::Rule& rule, const Slice& slice, People& people);

}  // namespace jit::watch
