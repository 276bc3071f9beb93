#include "jit_access/oversight/detect_volume.hpp"

#include <algorithm>

#include "jit_access/core/detection.hpp"
#include "jit_access/oversight/detection_batch.hpp"

namespace jit::detection {

namespace {

constexpr std::int64_t grants_kept = 200;

struct Total {
    std::int64_t rows = 0;
    std::int64_t told = 0;
    std::int64_t template_id = 0;
    std::string template_name;
};

std::optional<Total> add(const SessionUsage& used) {
    const auto row = pg::query_row(
        "INSERT INTO jit_access.grant_volume AS g (grant_id, rows) SELECT r.id, $2 FROM jit_access.request r WHERE "
        "r.id "
        "= "
        "$1 ON CONFLICT (grant_id) DO UPDATE SET rows = g.rows + excluded.rows RETURNING rows, told, (SELECT "
        "r.template_id FROM jit_access.request r WHERE r.id = $1), (SELECT t.name FROM jit_access.request r JOIN "
        "jit_access.template t ON t.id = r.template_id WHERE r.id = $1)",
        {used.grant, used.rows});
    if (!row) return std::nullopt;
    return Total{row->get<std::int64_t>(0), row->get<std::int64_t>(1), row->get<std::int64_t>(2),
                 row->get<std::string>(3)};
}

std::optional<std::int64_t> much_for(std::int64_t template_id) {
    std::vector<std::int64_t> totals;
    for (const auto& row : pg::query(
             "SELECT pg_catalog.unnest(totals) FROM jit_access.template_volume WHERE template_id = $1", {template_id}))
        totals.push_back(row.get<std::int64_t>(0));
    return core::much(std::move(totals));
}

// Told when it is far more, and again when it is twice that.
void look(const alert_rule::Rule& rule, const SessionUsage& used, People& people, Findings& findings) {
    const auto total = add(used);
    if (!total || !rule.enabled || total->rows < 2 * total->told) return;
    const auto usual = much_for(total->template_id);
    if (!usual || total->rows / rule.threshold.value_or(1) < *usual) return;
    pg::execute("UPDATE jit_access.grant_volume SET reported = rows WHERE grant_id = $1", {used.grant});
    const auto& who = people.of(used.login);
    findings.add({.person = who.person,
                  .shown = who.shown,
                  .grant = used.grant,
                  .first = used.at,
                  .last = used.at,
                  .evidence = {used.last},
                  .suspends = true,
                  .detail = {{"login", used.login},
                             {"template", total->template_name},
                             {"rows", std::to_string(total->rows)},
                             {"much", std::to_string(*usual)}}});
}

// Its total is one of those that say what is usual, the oldest is forgotten. What was far more makes itself no
// baseline.
void close(const Observation& ended) {
    pg::execute(
        "INSERT INTO jit_access.template_volume AS u (template_id, totals) SELECT $2, ARRAY[g.rows] FROM "
        "jit_access.grant_volume g WHERE g.grant_id = $1 AND g.reported = 0 ON CONFLICT (template_id) DO UPDATE SET "
        "totals = "
        "(u.totals || excluded.totals)[greatest(1, pg_catalog.cardinality(u.totals) + 2 - $3):]",
        {*ended.grant, *ended.template_id, grants_kept});
    pg::execute("DELETE FROM jit_access.grant_volume WHERE grant_id = $1", {*ended.grant});
}

}  // namespace

void unusual_rows(const alert_rule::Rule& rule, const Slice& slice, People& people) {
    Findings findings;
    // In the order of the record: what a grant has moved before another one has ended is not compared with that one.
    auto ended = slice.seen.begin();
    const auto close_before = [&](std::int64_t seq) {
        for (; ended != slice.seen.end() && ended->seq < seq; ++ended)
            if ((ended->kind == "ended" || ended->kind == "revoked") && ended->grant && ended->template_id)
                close(*ended);
    };
    for (const auto& used : slice.used) {
        close_before(used.first);
        if (used.rows > 0) look(rule, used, people, findings);
    }
    for (const auto& late : slice.late)
        if (late.rows > 0) look(rule, late, people, findings);
    close_before(slice.to + 1);
    for (const auto& finding : findings.all()) alert::found(rule, finding);
}

}  // namespace jit::detection
