#include "jit_access/oversight/detect_baseline.hpp"

#include <algorithm>

#include "jit_access/core/detection.hpp"
#include "jit_access/oversight/detection_batch.hpp"

namespace jit::detection {

namespace {

// Key of the row of jit_access.baseline that counts all days, whatever the value. Every other row counts the days on
// which one value occurred.
constexpr const char* any_value = "";

struct Baseline {
    std::int32_t days = 0;
    std::int64_t first = 0;
    std::int64_t last = 0;
    bool is_changed = false;
};

// Baselines of one kind (hour, template or network) for the persons of a batch. A person's rows are read when first
// needed and written by store().
class Baselines {
public:
    Baselines(const char* kind, const alert_rule::Rule& rule) : kind_(kind), rule_(rule) {}

    [[nodiscard]] bool has_enough_history(const core::PersonId& person, std::int64_t at) {
        return days_of(person, at, any_value) >= rule_.threshold.value_or(1);
    }
    // Returns 0 if the value was last seen longer ago than the rule looks back.
    [[nodiscard]] std::int32_t days_of(const core::PersonId& person, std::int64_t at, const std::string& value) {
        const auto& baselines = load(person);
        const auto place = baselines.find(value);
        return place == baselines.end() || at - place->second.last > rule_.within ? 0 : place->second.days;
    }
    void add(const core::PersonId& person, std::int64_t at, const std::string& value) {
        add_day(person, at, value);
        add_day(person, at, any_value);
    }
    void store() {
        for (const auto& [person, baselines] : persons_)
            for (const auto& [value, baseline] : baselines)
                if (baseline.is_changed) write(person, value, baseline);
    }

private:
    using ByValue = std::map<std::string, Baseline>;

    ByValue& load(const core::PersonId& person) {
        const auto [place, is_new] = persons_.try_emplace(person);
        if (!is_new) return place->second;
        for (const auto& row : pg::query(R"sql(
                 SELECT value, days, first_at, last_at
                 FROM jit_access.baseline
                 WHERE person_id = $1 AND kind = $2)sql",
                                         {person, std::string(kind_)}))
            place->second[row.get<std::string>(0)] = {row.get<std::int32_t>(1), row.get<pg::Instant>(2).us,
                                                      row.get<pg::Instant>(3).us, false};
        return place->second;
    }

    void add_day(const core::PersonId& person, std::int64_t at, const std::string& value) {
        auto& baselines = load(person);
        auto [place, is_new] =
            baselines.try_emplace(value, Baseline{.days = 1, .first = at, .last = at, .is_changed = true});
        auto& baseline = place->second;
        if (is_new || core::day_of(at) <= core::day_of(baseline.last)) return;
        baseline = {.days = baseline.days + 1, .first = baseline.first, .last = at, .is_changed = true};
    }

    void write(const core::PersonId& person, const std::string& value, const Baseline& baseline) {
        pg::execute(
            R"sql(
            INSERT INTO jit_access.baseline (person_id, kind, value, days, first_at, last_at)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (person_id, kind, value) DO UPDATE
            SET days = excluded.days, last_at = excluded.last_at)sql",
            {person, std::string(kind_), value, baseline.days, pg::Instant{baseline.first},
             pg::Instant{baseline.last}});
    }

    const char* kind_;
    const alert_rule::Rule& rule_;
    std::map<core::PersonId, ByValue> persons_;
};

bool is_request(const Observation& seen) { return seen.kind == "requested" || seen.kind == "break-glass"; }

alert::Finding finding_of(const Person& person, const Observation& seen, control_event::Detail detail) {
    detail.insert(detail.begin(), {{"login", seen.login}, {"template", seen.template_name}});
    return {.person_id = person.id,
            .person = person.name,
            .grant = seen.grant,
            .first = seen.at,
            .last = seen.at,
            .evidence = {seen.seq},
            .suspends = true,
            .detail = std::move(detail)};
}

void raise_findings(const alert_rule::Rule& rule, const Findings& findings) {
    if (!rule.enabled) return;
    for (const auto& finding : findings.all()) alert::raise_finding(rule, finding);
}

std::string two_digits(std::size_t hour) { return (hour < 10 ? "0" : "") + std::to_string(hour); }

}  // namespace

template <>
void evaluate<core::Evaluator::unusual_hours>(const alert_rule::Rule& rule, const Batch& batch, PersonCache& persons) {
    Baselines baselines("hour", rule);
    Findings findings;
    for (const auto& seen : batch.observations) {
        if (!is_request(seen)) continue;
        const auto& person = persons.find(seen.login);
        const auto hour = core::hour_of(seen.at);
        std::array<std::int32_t, core::hours_of_day> days{};
        for (std::size_t i = 0; i < days.size(); ++i) days.at(i) = baselines.days_of(person.id, seen.at, two_digits(i));
        if (baselines.has_enough_history(person.id, seen.at) && core::is_unusual_hour(days, hour))
            findings.add(finding_of(person, seen, {{"hour", two_digits(hour) + " UTC"}}));
        baselines.add(person.id, seen.at, two_digits(hour));
    }
    baselines.store();
    raise_findings(rule, findings);
}

namespace {

// Returns true if a person with similar habits requests the template: of all other templates that one of the two
// requests, at least half are requested by both (a Jaccard index of one half).
bool is_requested_by_peer(const core::PersonId& person, const std::string& template_name) {
    return pg::query_row(R"sql(
        WITH mine AS (
            SELECT value FROM jit_access.baseline
            WHERE person_id = $1 AND kind = 'template' AND value <> ''),
        other AS (
            SELECT o.person_id, count(m.value) AS shared, count(*) - 1 AS theirs
            FROM jit_access.baseline h
            JOIN jit_access.baseline o ON o.person_id = h.person_id AND o.kind = 'template' AND o.value <> ''
            LEFT JOIN mine m ON m.value = o.value
            WHERE h.kind = 'template' AND h.value = $2 AND h.person_id <> $1
            GROUP BY o.person_id)
        SELECT EXISTS (
            SELECT FROM other
            WHERE shared > 0 AND 2 * shared >= theirs + (SELECT count(*) FROM mine) - shared))sql",
                         {person, template_name})
        .value()
        .get<bool>(0);
}

// A network that several other persons use, such as an office or a VPN gateway, is not suspicious.
bool is_shared_network(const core::PersonId& person, const std::string& network) {
    constexpr std::int64_t min_others = 2;
    return pg::query_row(R"sql(
        SELECT count(*) >= $3
        FROM jit_access.baseline
        WHERE kind = 'network' AND value = $2 AND person_id <> $1)sql",
                         {person, network, min_others})
        .value()
        .get<bool>(0);
}

}  // namespace

template <>
void evaluate<core::Evaluator::unusual_template>(const alert_rule::Rule& rule, const Batch& batch,
                                                 PersonCache& persons) {
    Baselines baselines("template", rule);
    Findings findings;
    for (const auto& seen : batch.observations) {
        if (!is_request(seen) || !seen.template_name) continue;
        const auto& person = persons.find(seen.login);
        if (baselines.days_of(person.id, seen.at, *seen.template_name) == 0 &&
            baselines.has_enough_history(person.id, seen.at) && !is_requested_by_peer(person.id, *seen.template_name))
            findings.add(finding_of(person, seen, {}));
        baselines.add(person.id, seen.at, *seen.template_name);
    }
    baselines.store();
    raise_findings(rule, findings);
}

template <>
void evaluate<core::Evaluator::new_network>(const alert_rule::Rule& rule, const Batch& batch, PersonCache& persons) {
    Baselines baselines("network", rule);
    Findings findings;
    for (const auto& usage : batch.usage) {
        const auto& person = persons.find(usage.login);
        const auto network = core::network_of(usage.client);
        if (baselines.days_of(person.id, usage.at, network) == 0 && baselines.has_enough_history(person.id, usage.at) &&
            !is_shared_network(person.id, network))
            findings.add({.person_id = person.id,
                          .person = person.name,
                          .grant = usage.grant,
                          .first = usage.at,
                          .last = usage.at,
                          .evidence = {usage.first},
                          .suspends = true,
                          .detail = {{"login", usage.login}, {"network", network}}});
        baselines.add(person.id, usage.at, network);
    }
    baselines.store();
    raise_findings(rule, findings);
}

}  // namespace jit::detection
