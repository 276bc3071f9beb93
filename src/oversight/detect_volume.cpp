#include "jit_access/oversight/detect_volume.hpp"

#include <algorithm>

#include "jit_access/core/detection.hpp"
#include "jit_access/oversight/detection_batch.hpp"

namespace jit::detection {

namespace {

constexpr std::int64_t max_totals = 200;  // kept for each template

struct Volume {
    std::int64_t rows = 0;
    std::int64_t reported = 0;  // the rows when the last alert was raised
    std::int64_t template_id = 0;
    std::string template_name;
};

// Returns nothing if this database does not know the grant.
std::optional<Volume> add_rows(const SessionUsage& usage) {
    const auto row = pg::query_row(R"sql(
        INSERT INTO jit_access.grant_volume AS g (grant_id, rows)
        SELECT r.id, $2 FROM jit_access.request r WHERE r.id = $1
        ON CONFLICT (grant_id) DO UPDATE SET rows = g.rows + excluded.rows
        RETURNING rows, reported,
            (SELECT r.template_id FROM jit_access.request r WHERE r.id = $1),
            (SELECT t.name FROM jit_access.request r JOIN jit_access.template t ON t.id = r.template_id
             WHERE r.id = $1))sql",
                                   {usage.grant, usage.rows});
    if (!row) return std::nullopt;
    return Volume{row->get<std::int64_t>(0), row->get<std::int64_t>(1), row->get<std::int64_t>(2),
                  row->get<std::string>(3)};
}

std::optional<std::int64_t> usual_rows_of(std::int64_t template_id) {
    std::vector<std::int64_t> totals;
    for (const auto& row : pg::query(
             "SELECT pg_catalog.unnest(totals) FROM jit_access.template_volume WHERE template_id = $1", {template_id}))
        totals.push_back(row.get<std::int64_t>(0));
    return core::usual_row_limit(std::move(totals));
}

// Adds the rows to the grant's sum, and compares the sum with the usual one of the template. A grant is reported again
// only when its sum has doubled.
void check_volume(const alert_rule::Rule& rule, const SessionUsage& usage, PersonCache& persons, Findings& findings) {
    const auto volume = add_rows(usage);
    if (!volume || !rule.enabled || volume->rows < 2 * volume->reported) return;
    const auto usual = usual_rows_of(volume->template_id);
    // A multiplication could overflow, so the rows are divided.
    if (!usual || volume->rows / rule.threshold.value_or(1) < *usual) return;
    pg::execute("UPDATE jit_access.grant_volume SET reported = rows WHERE grant_id = $1", {usage.grant});
    const auto& person = persons.find(usage.login);
    findings.add({.person_id = person.id,
                  .person = person.name,
                  .grant = usage.grant,
                  .first = usage.at,
                  .last = usage.at,
                  .evidence = {usage.last},
                  .suspends = true,
                  .detail = {{"login", usage.login},
                             {"template", volume->template_name},
                             {"rows", std::to_string(volume->rows)},
                             {"much", std::to_string(*usual)}}});
}

// Adds the total of an ended grant to those of its template and drops the oldest. The total of a grant that was
// reported is left out, so that unusual volumes do not become usual.
void close_volume(const Observation& end) {
    pg::execute(R"sql(
        INSERT INTO jit_access.template_volume AS u (template_id, totals)
        SELECT $2, ARRAY[g.rows] FROM jit_access.grant_volume g WHERE g.grant_id = $1 AND g.reported = 0
        ON CONFLICT (template_id) DO UPDATE
        SET totals = (u.totals || excluded.totals)[greatest(1, pg_catalog.cardinality(u.totals) + 2 - $3):])sql",
                {*end.grant, *end.template_id, max_totals});
    pg::execute("DELETE FROM jit_access.grant_volume WHERE grant_id = $1", {*end.grant});
}

}  // namespace

template <>
void evaluate<core::Evaluator::unusual_rows>(const alert_rule::Rule& rule, const Batch& batch, PersonCache& persons) {
    Findings findings;
    // Uses and ends are processed in the order of the record, so that rows of a use before the end of another grant are
    // not compared with the total of that grant.
    auto next = batch.observations.begin();
    const auto close_grants_before = [&](std::int64_t seq) {
        for (; next != batch.observations.end() && next->seq < seq; ++next)
            if ((next->kind == "ended" || next->kind == "revoked") && next->grant && next->template_id)
                close_volume(*next);
    };
    for (const auto& usage : batch.usage) {
        close_grants_before(usage.first);
        if (usage.rows > 0) check_volume(rule, usage, persons, findings);
    }
    for (const auto& usage : batch.late_usage)
        if (usage.rows > 0) check_volume(rule, usage, persons, findings);
    close_grants_before(batch.to + 1);
    for (const auto& finding : findings.all()) alert::raise_finding(rule, finding);
}

}  // namespace jit::detection
