#include "jit_access/oversight/detect_threshold.hpp"

#include <algorithm>
#include <tuple>

#include "jit_access/core/detection.hpp"
#include "jit_access/oversight/detection_batch.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::detection {

namespace {

using core::About;
using core::CountedBy;
using core::Sign;

// Whom it is about; nothing, when the row does not say.
std::optional<Subject> person_in(const Observation& seen, About about, People& people) {
    switch (about) {
        case About::login: return people.of(seen.login);
        case About::holder: return seen.holder ? std::optional(people.of(*seen.holder)) : std::nullopt;
        // Of a temporary role the holder of its grant, of what concerns neither nobody.
        case About::member:
            if (seen.member) return people.of(*seen.member);
            if (seen.holder) return people.of(*seen.holder);
            [[fallthrough]];
        case About::nobody: return Subject{"nobody", task::actor};
    }
    return std::nullopt;
}

// What is counted together. What runs inside of a statement by itself: somebody else may have written it.
std::string subject_in(const Observation& seen, CountedBy subject) {
    if (subject == CountedBy::of_template) return seen.template_name.value_or("");
    if (subject != CountedBy::grant || !seen.grant) return {};
    return std::to_string(*seen.grant) + (seen.is_inside ? " inside" : "");
}

bool is_meant(const alert_rule::Rule& rule, const Sign& sign, const Observation& seen) {
    if (sign.rule == "refusal_burst") return seen.grant.has_value();
    if (sign.rule == "break_glass_not_justified") return seen.verdict == "not_justified";
    if (sign.rule == "record_lag") return seen.seconds.value_or(0) >= rule.threshold.value_or(1);
    return true;
}

control_event::Detail detail_of(const Sign& sign, const alert_rule::Rule& rule, const Observation& seen,
                                std::size_t count) {
    control_event::Detail detail;
    if (sign.about == About::login) detail.emplace_back("login", seen.login);
    if (sign.about == About::holder) detail.emplace_back("by", seen.login);
    if (seen.template_name) detail.emplace_back("template", seen.template_name);
    if (count > 1) detail.emplace_back("seen", std::to_string(count) + " within " + core::format_duration(rule.within));
    detail.emplace_back("what", seen.what);
    return detail;
}

struct Key {
    core::PersonId person;
    std::string subject;
    bool operator<(const Key& other) const { return std::tie(person, subject) < std::tie(other.person, other.subject); }
};

struct Counted {
    core::Recent recent;
    std::vector<core::Occurrence> fresh;  // of this slice
};

// As many as are needed, from the slices before.
core::Recent recall(const alert_rule::Rule& rule, const Key& key, std::size_t threshold) {
    core::Recent recent(threshold, rule.within);
    if (threshold < 2) return recent;
    auto rows = pg::query(
        "SELECT at, seq FROM jit_access.occurrence WHERE rule = $1 AND person_id = $2 AND subject = $3 ORDER BY seq "
        "DESC "
        "LIMIT $4",
        {rule.name, key.person, key.subject, static_cast<std::int64_t>(threshold)});
    std::reverse(rows.begin(), rows.end());
    for (const auto& row : rows) recent.add({row.get<pg::Instant>(0).us, row.get<std::int64_t>(1)});
    return recent;
}

void keep(const alert_rule::Rule& rule, const std::map<Key, Counted>& all) {
    for (const auto& [key, counted] : all) {
        const auto& seen = counted.recent.seen();
        for (const auto& occurrence : counted.fresh) {
            if (std::find(seen.begin(), seen.end(), occurrence) == seen.end()) continue;
            pg::execute(
                "INSERT INTO jit_access.occurrence (rule, person_id, subject, seq, at) VALUES ($1, $2, $3, $4, $5)",
                {rule.name, key.person, key.subject, occurrence.seq, pg::Instant{occurrence.at}});
        }
        pg::execute(
            "DELETE FROM jit_access.occurrence WHERE rule = $1 AND person_id = $2 AND subject = $3 AND seq < $4",
            {rule.name, key.person, key.subject,
             std::min_element(seen.begin(), seen.end(), [](const auto& a, const auto& b) {
                 return a.seq < b.seq;
             })->seq});
    }
}

std::vector<std::int64_t> rows_of(const core::Recent& recent) {
    std::vector<std::int64_t> rows;
    for (const auto& occurrence : recent.seen()) rows.push_back(occurrence.seq);
    std::sort(rows.begin(), rows.end());
    return rows;
}

}  // namespace

void count(const alert_rule::Rule& rule, const Slice& slice, People& people) {
    if (!rule.enabled) return;
    const auto threshold = rule.within != 0 ? static_cast<std::size_t>(rule.threshold.value_or(1)) : 1;
    std::map<Key, Counted> all;
    Findings findings;
    std::vector<alert::Finding> told;
    for (const auto& seen : slice.seen) {
        for (const auto* sign : core::signs_in(seen.kind, seen.sqlstate)) {
            if (sign->rule != rule.name || !is_meant(rule, *sign, seen)) continue;
            const auto who = person_in(seen, sign->about, people);
            if (!who) continue;
            const Key key{who->person, subject_in(seen, sign->subject)};
            auto place = all.find(key);
            if (place == all.end()) place = all.emplace(key, Counted{recall(rule, key, threshold), {}}).first;
            const core::Occurrence occurrence{seen.at, seen.seq};
            place->second.fresh.push_back(occurrence);
            if (!place->second.recent.add(occurrence)) continue;
            const auto evidence = rows_of(place->second.recent);
            const alert::Finding finding{.person = who->person,
                                         .shown = who->shown,
                                         .grant = sign->names_grant ? seen.grant : std::nullopt,
                                         .first = place->second.recent.seen().front().at,
                                         .last = seen.at,
                                         .evidence = evidence,
                                         .suspends = !seen.is_inside,
                                         .detail = detail_of(*sign, rule, seen, threshold)};
            if (sign->is_told)
                told.push_back(finding);
            else
                findings.add(finding);
        }
    }
    if (threshold > 1) keep(rule, all);
    for (const auto& finding : findings.all()) alert::found(rule, finding);
    for (const auto& finding : told) alert::complete(rule, finding);
}

}  // namespace jit::detection
