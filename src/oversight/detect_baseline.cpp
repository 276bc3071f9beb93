#include "jit_access/oversight/detect_baseline.hpp"

#include <algorithm>

#include "jit_access/core/detection.hpp"
#include "jit_access/oversight/detection_batch.hpp"

namespace jit::detection {

namespace {

constexpr const char* everything = "";

struct Baseline {
    std::int32_t days = 0;
    std::int64_t first = 0;
    std::int64_t last = 0;
    bool is_changed = false;
};

// The baselines of one kind of the people of a slice. Read once, written at its end.
class Baselines {
public:
    Baselines(const char* kind, const alert_rule::Rule& rule) : kind_(kind), rule_(rule) {}

    // Whether he is known well enough; `at` is now.
    bool knows(const core::PersonId& person, std::int64_t at) {
        return of(person, at, everything) >= rule_.threshold.value_or(1);
    }
    // On how many days.
    std::int32_t of(const core::PersonId& person, std::int64_t at, const std::string& what) {
        const auto& known = recall(person);
        const auto baseline = known.find(what);
        return baseline == known.end() || at - baseline->second.last > rule_.within ? 0 : baseline->second.days;
    }
    void add(const core::PersonId& person, std::int64_t at, const std::string& what) {
        add_one(person, at, what);
        add_one(person, at, everything);
    }
    void keep() {
        for (const auto& [person, known] : people_)
            for (const auto& [what, baseline] : known)
                if (baseline.is_changed) write(person, what, baseline);
    }

private:
    using Known = std::map<std::string, Baseline>;

    Known& recall(const core::PersonId& person) {
        const auto [place, is_new] = people_.try_emplace(person);
        if (!is_new) return place->second;
        for (const auto& row : pg::query(
                 "SELECT value, days, first_at, last_at FROM jit_access.baseline WHERE person_id = $1 AND kind = $2",
                 {person, std::string(kind_)}))
            place->second[row.get<std::string>(0)] = {row.get<std::int32_t>(1), row.get<pg::Instant>(2).us,
                                                      row.get<pg::Instant>(3).us, false};
        return place->second;
    }

    void add_one(const core::PersonId& person, std::int64_t at, const std::string& what) {
        auto& known = recall(person);
        auto [baseline, is_new] =
            known.try_emplace(what, Baseline{.days = 1, .first = at, .last = at, .is_changed = true});
        if (is_new || core::day_of(at) <= core::day_of(baseline->second.last)) return;
        baseline->second = {
            .days = baseline->second.days + 1, .first = baseline->second.first, .last = at, .is_changed = true};
    }

    void write(const core::PersonId& person, const std::string& what, const Baseline& baseline) {
        pg::execute(
            "INSERT INTO jit_access.baseline (person_id, kind, value, days, first_at, last_at) VALUES ($1, $2, $3, $4, "
            "$5, "
            "$6) ON CONFLICT (person_id, kind, value) DO UPDATE SET days = excluded.days, last_at = excluded.last_at",
            {person, std::string(kind_), what, baseline.days, pg::Instant{baseline.first}, pg::Instant{baseline.last}});
    }

    const char* kind_;
    const alert_rule::Rule& rule_;
    std::map<core::PersonId, Known> people_;
};

bool is_request(const Observation& seen) { return seen.kind == "requested" || seen.kind == "break-glass"; }

alert::Finding finding_in(const Subject& who, const Observation& seen, control_event::Detail detail) {
    detail.insert(detail.begin(), {{"login", seen.login}, {"template", seen.template_name}});
    return {.person = who.person,
            .shown = who.shown,
            .grant = seen.grant,
            .first = seen.at,
            .last = seen.at,
            .evidence = {seen.seq},
            .suspends = true,
            .detail = std::move(detail)};
}

void raise(const alert_rule::Rule& rule, const Findings& findings) {
    if (!rule.enabled) return;
    for (const auto& finding : findings.all()) alert::found(rule, finding);
}

std::string name_of_hour(std::size_t hour) { return (hour < 10 ? "0" : "") + std::to_string(hour); }

}  // namespace

void unusual_hours(const alert_rule::Rule& rule, const Slice& slice, People& people) {
    Baselines baselines("hour", rule);
    Findings findings;
    for (const auto& seen : slice.seen) {
        if (!is_request(seen)) continue;
        const auto& who = people.of(seen.login);
        const auto hour = core::hour_of(seen.at);
        std::array<std::int32_t, core::hours_of_day> days{};
        for (std::size_t i = 0; i < days.size(); ++i) days.at(i) = baselines.of(who.person, seen.at, name_of_hour(i));
        if (baselines.knows(who.person, seen.at) && core::is_unusual_hour(days, hour))
            findings.add(finding_in(who, seen, {{"hour", name_of_hour(hour) + " UTC"}}));
        baselines.add(who.person, seen.at, name_of_hour(hour));
    }
    baselines.keep();
    raise(rule, findings);
}

namespace {

// Somebody asks for it who asks for much the same as he does: of all that one of the two asks for, at least half is
// what both do.
bool is_of_his_kind(const core::PersonId& person, const std::string& what) {
    return pg::query_row(
               "WITH mine AS (SELECT value FROM jit_access.baseline WHERE person_id = $1 AND kind = 'template' AND "
               "value "
               "<> "
               "''), other AS (SELECT o.person_id, count(m.value) AS shared, count(*) - 1 AS theirs FROM "
               "jit_access.baseline "
               "h JOIN jit_access.baseline o ON o.person_id = h.person_id AND o.kind = 'template' AND o.value <> '' "
               "LEFT "
               "JOIN mine m ON m.value = o.value WHERE h.kind = 'template' AND h.value = $2 AND h.person_id <> $1 "
               "GROUP "
               "BY "
               "o.person_id) SELECT EXISTS (SELECT FROM other WHERE shared > 0 AND 2 * shared >= theirs + (SELECT "
               "count(*) FROM mine) - shared)",
               {person, what})
        .value()
        .get<bool>(0);
}

// Several others have come from there: an office, a way in that all use.
bool is_shared(const core::PersonId& person, const std::string& network) {
    constexpr std::int64_t several = 2;
    return pg::query_row(
               "SELECT count(*) >= $3 FROM jit_access.baseline WHERE kind = 'network' AND value = $2 AND person_id <> "
               "$1",
               {person, network, several})
        .value()
        .get<bool>(0);
}

}  // namespace

void unusual_template(const alert_rule::Rule& rule, const Slice& slice, People& people) {
    Baselines baselines("template", rule);
    Findings findings;
    for (const auto& seen : slice.seen) {
        if (!is_request(seen) || !seen.template_name) continue;
        const auto& who = people.of(seen.login);
        if (baselines.of(who.person, seen.at, *seen.template_name) == 0 && baselines.knows(who.person, seen.at) &&
            !is_of_his_kind(who.person, *seen.template_name))
            findings.add(finding_in(who, seen, {}));
        baselines.add(who.person, seen.at, *seen.template_name);
    }
    baselines.keep();
    raise(rule, findings);
}

void new_network(const alert_rule::Rule& rule, const Slice& slice, People& people) {
    Baselines baselines("network", rule);
    Findings findings;
    for (const auto& used : slice.used) {
        const auto& who = people.of(used.login);
        const auto network = core::network_of(used.client);
        if (baselines.of(who.person, used.at, network) == 0 && baselines.knows(who.person, used.at) &&
            !is_shared(who.person, network))
            findings.add({.person = who.person,
                          .shown = who.shown,
                          .grant = used.grant,
                          .first = used.at,
                          .last = used.at,
                          .evidence = {used.first},
                          .suspends = true,
                          .detail = {{"login", used.login}, {"network", network}}});
        baselines.add(who.person, used.at, network);
    }
    baselines.keep();
    raise(rule, findings);
}

}  // namespace jit::detection
