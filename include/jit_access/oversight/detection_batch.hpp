// A batch of the record as the alert rules read it, and the interface of their evaluators.
//
// Uses are summed by grant and session (record/usage_tally.hpp). All other records that a rule needs are read one by
// one. A batch exists only in the transaction that evaluates it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jit_access/core/detection.hpp"
#include "jit_access/oversight/alert.hpp"
#include "jit_access/record/usage_tally.hpp"

namespace jit::detection {

// The person behind a login. Alerts are grouped by the id and show the name.
struct Person {
    core::PersonId id;
    std::string name;
};

// A record that is not a use.
struct Observation {
    std::int64_t seq = 0;
    std::int64_t at = 0;
    std::string kind;
    std::string sqlstate;
    std::string login;
    std::optional<std::int64_t> grant;
    bool is_nested = false;        // inside another statement, so code of another user may have sent it
    bool is_in_own_block = false;  // the client's statement is a DO block that names a function of the extension
    std::optional<std::string> template_name;
    std::optional<std::string> holder;  // of the grant
    std::optional<std::string> member;  // the role that received a membership by hand
    std::optional<std::string> reason;
    std::optional<std::string> verdict;
    std::optional<std::int64_t> seconds;
    std::optional<std::int64_t> template_id;
};

struct Batch {
    std::int64_t from = 0;  // sequence number before the first record
    std::int64_t to = 0;
    std::int64_t at = 0;  // of the newest record
    std::vector<Observation> observations;
    std::vector<SessionUsage> usage;
    std::vector<SessionUsage> late_usage;  // outcomes of statements whose use is in an earlier batch
};

// Makes the tally of the records in (from, to] by reading them, if this process did not get it from the ingest.
[[nodiscard]] UsageTally tally_records(std::int64_t from, std::int64_t to);

// Reads the records that are not uses. The tally has summed the uses.
[[nodiscard]] Batch read_batch(UsageTally tally);

// Persons by login, each looked up once in a batch.
class PersonCache {
public:
    const Person& find(const std::string& login);

private:
    std::map<std::string, Person> persons_;
};

// The findings of one rule in one batch. Those about the same person and grant are merged.
class Findings {
public:
    void add(const alert::Finding& finding);
    [[nodiscard]] const std::vector<alert::Finding>& all() const noexcept { return findings_; }

private:
    std::vector<alert::Finding> findings_;
};

// Evaluates one rule over a batch: updates the tables of the rule, and raises alerts for the findings. While a rule is
// disabled, baselines are kept up to date, but no alerts are raised.
//
// Each core::Evaluator has a specialisation in one of the detect_*.hpp. An evaluator without one does not compile,
// because detection.cpp instantiates this template for every rule.
template <core::Evaluator>
void evaluate(const alert_rule::Rule& rule, const Batch& batch, PersonCache& persons) = delete;

}  // namespace jit::detection
