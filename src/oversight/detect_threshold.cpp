#include "jit_access/oversight/detect_threshold.hpp"

#include <algorithm>
#include <tuple>

#include "jit_access/core/detection.hpp"
#include "jit_access/oversight/detection_batch.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::detection {

namespace {

using core::AlertRule;
using core::Condition;
using core::CountedBy;
using core::RaisedBy;

// Returns nothing if the record does not name the person.
std::optional<Person> subject_of(const Observation& seen, core::Subject subject, PersonCache& persons) {
    switch (subject) {
        case core::Subject::login: return persons.find(seen.login);
        case core::Subject::holder: return seen.holder ? std::optional(persons.find(*seen.holder)) : std::nullopt;
        // Drift of a temporary role is about the holder of its grant. Other drift without a member has no subject.
        case core::Subject::member:
            if (seen.member) return persons.find(*seen.member);
            if (seen.holder) return persons.find(*seen.holder);
            [[fallthrough]];
        case core::Subject::nobody: return Person{"nobody", task::actor};
    }
    return std::nullopt;
}

// The group in which occurrences are counted, besides the person. Nested statements form a group of their own, because
// another user may have written the code that sent them; see Finding::suspends below.
std::string group_of(const Observation& seen, CountedBy counted_by) {
    if (counted_by == CountedBy::person_and_template) return seen.template_name.value_or("");
    if (counted_by != CountedBy::person_and_grant || !seen.grant) return {};
    return std::to_string(*seen.grant) + (seen.is_nested ? " inside" : "");
}

bool meets(Condition condition, const alert_rule::Rule& rule, const Observation& seen) {
    switch (condition) {
        case Condition::none: return true;
        case Condition::under_a_grant: return seen.grant.has_value();
        case Condition::not_justified: return seen.verdict == "not_justified";
        case Condition::lag_reaches_threshold: return seen.seconds.value_or(0) >= rule.threshold.value_or(1);
        case Condition::in_own_block: return seen.is_in_own_block;
        case Condition::not_in_own_block: return !seen.is_in_own_block;
    }
    return false;
}

control_event::Detail detail_of(const AlertRule& entry, const alert_rule::Rule& rule, const Observation& seen,
                                std::size_t count) {
    control_event::Detail detail;
    if (entry.subject == core::Subject::login) detail.emplace_back("login", seen.login);
    if (entry.subject == core::Subject::holder) detail.emplace_back("by", seen.login);
    if (seen.template_name) detail.emplace_back("template", seen.template_name);
    if (count > 1) detail.emplace_back("seen", std::to_string(count) + " within " + core::format_duration(rule.within));
    detail.emplace_back("what", seen.reason);
    return detail;
}

// A row of jit_access.occurrence without its rule.
struct Key {
    core::PersonId person;
    std::string group;
    bool operator<(const Key& other) const { return std::tie(person, group) < std::tie(other.person, other.group); }
};

struct Counter {
    core::OccurrenceWindow window;
    std::vector<core::Occurrence> added;  // by this batch
};

using Counters = std::map<Key, Counter>;

// The occurrences of earlier batches, as many as the threshold needs.
core::OccurrenceWindow load_window(const alert_rule::Rule& rule, const Key& key, std::size_t threshold) {
    core::OccurrenceWindow window(threshold, rule.within);
    if (threshold < 2) return window;
    auto rows = pg::query(R"sql(
        SELECT at, seq
        FROM jit_access.occurrence
        WHERE rule = $1 AND person_id = $2 AND subject = $3
        ORDER BY seq DESC
        LIMIT $4)sql",
                          {rule.name, key.person, key.group, static_cast<std::int64_t>(threshold)});
    std::reverse(rows.begin(), rows.end());
    for (const auto& row : rows) window.add({row.get<pg::Instant>(0).us, row.get<std::int64_t>(1)});
    return window;
}

// Writes the occurrences within the windows and deletes older ones.
void store_windows(const alert_rule::Rule& rule, const Counters& counters) {
    for (const auto& [key, counter] : counters) {
        const auto& held = counter.window.occurrences();
        for (const auto& occurrence : counter.added) {
            if (std::find(held.begin(), held.end(), occurrence) == held.end()) continue;
            pg::execute(
                "INSERT INTO jit_access.occurrence (rule, person_id, subject, seq, at) VALUES ($1, $2, $3, $4, $5)",
                {rule.name, key.person, key.group, occurrence.seq, pg::Instant{occurrence.at}});
        }
        const auto oldest = std::ranges::min_element(held, {}, &core::Occurrence::seq);
        pg::execute(
            "DELETE FROM jit_access.occurrence WHERE rule = $1 AND person_id = $2 AND subject = $3 AND seq < $4",
            {rule.name, key.person, key.group, oldest->seq});
    }
}

std::vector<std::int64_t> seqs_of(const core::OccurrenceWindow& window) {
    std::vector<std::int64_t> seqs;
    for (const auto& occurrence : window.occurrences()) seqs.push_back(occurrence.seq);
    std::sort(seqs.begin(), seqs.end());
    return seqs;
}

// Counts one record. Returns a finding if the count then reaches the threshold.
std::optional<alert::Finding> count(const AlertRule& entry, const alert_rule::Rule& rule, std::size_t threshold,
                                    const Observation& seen, PersonCache& persons, Counters& counters) {
    const auto person = subject_of(seen, entry.subject, persons);
    if (!person) return std::nullopt;
    const Key key{person->id, group_of(seen, entry.counted_by)};
    auto place = counters.find(key);
    if (place == counters.end()) place = counters.emplace(key, Counter{load_window(rule, key, threshold), {}}).first;
    auto& [window, added] = place->second;
    const core::Occurrence occurrence{seen.at, seen.seq};
    added.push_back(occurrence);
    if (!window.add(occurrence)) return std::nullopt;
    return alert::Finding{.person_id = person->id,
                          .person = person->name,
                          .grant = entry.names_grant ? seen.grant : std::nullopt,
                          .first = window.occurrences().front().at,
                          .last = seen.at,
                          .evidence = seqs_of(window),
                          // Code that runs inside a statement may have been written by another user, so nested
                          // statements suspend nothing.
                          .suspends = !seen.is_nested,
                          .detail = detail_of(entry, rule, seen, threshold)};
}

}  // namespace

template <>
void evaluate<core::Evaluator::occurrences>(const alert_rule::Rule& rule, const Batch& batch, PersonCache& persons) {
    if (!rule.enabled) return;
    const auto& entry = *core::find_alert_rule(rule.name);
    // If the rule has no time, every record raises an alert, and the threshold, if any, is part of the condition.
    const auto threshold = rule.within != 0 ? static_cast<std::size_t>(rule.threshold.value_or(1)) : 1;
    Counters counters;
    Findings findings;
    std::vector<alert::Finding> raised_at_once;
    for (const auto& seen : batch.observations) {
        for (const auto* counted_by : core::rules_that_count(seen.kind, seen.sqlstate)) {
            if (counted_by != &entry || !meets(entry.signal.condition, rule, seen)) continue;
            const auto finding = count(entry, rule, threshold, seen, persons, counters);
            if (!finding) continue;
            if (entry.raised_by == RaisedBy::transaction)
                raised_at_once.push_back(*finding);
            else
                findings.add(*finding);
        }
    }
    if (threshold > 1) store_windows(rule, counters);
    for (const auto& finding : findings.all()) alert::raise_finding(rule, finding);
    for (const auto& finding : raised_at_once) alert::add_evidence(rule, finding);
}

}  // namespace jit::detection
