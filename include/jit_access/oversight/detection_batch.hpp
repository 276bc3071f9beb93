// A slice of the record, as the rules see it: uses added up by grant and session, everything else row by row; and how a
// rule says what it has found.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jit_access/oversight/alert.hpp"
#include "jit_access/record/usage_tally.hpp"

namespace jit::detection {

struct Subject {
    core::PersonId person;
    std::string shown;
};

// A row that is no use.
struct Observation {
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

// Of records that were written before this process started.
[[nodiscard]] UsageTally add_up(std::int64_t from, std::int64_t to);

struct Slice {
    std::int64_t from = 0;
    std::int64_t to = 0;
    std::int64_t at = 0;
    std::vector<Observation> seen;
    std::vector<SessionUsage> used;
    std::vector<SessionUsage> late;  // rows of statements that were running when they were taken over
};
[[nodiscard]] Slice look_at(UsageTally tally);

// A login of the record as a person. Asked for once in a slice.
class People {
public:
    const Subject& of(const std::string& login);

private:
    std::map<std::string, Subject> known_;
};

// What rules say of one slice: findings about one person and grant are one.
class Findings {
public:
    void add(const alert::Finding& finding);
    [[nodiscard]] const std::vector<alert::Finding>& all() const noexcept { return all_; }

private:
    std::vector<alert::Finding> all_;
};

}  // namespace jit::detection
