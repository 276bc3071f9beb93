#include "jit_access/reports/report.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/report_model.hpp"
#include "jit_access/identity/principal.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/digest.hpp"
#include "jit_access/reports/verification.hpp"

namespace jit::report {

namespace {

using core::Page;
using pg::Instant;
using pg::Row;
using verification::when;

constexpr std::int64_t max_bars = 92;
constexpr std::size_t max_rows = 30;  // of a table

struct Range {
    Instant from;
    Instant to;
};

// What one person, or one template, had and did.
struct Tally {
    std::int64_t grants = 0;
    std::int64_t statements = 0;
    std::int64_t failed = 0;
    std::int64_t rows = 0;
    std::set<std::string> others;  // templates of a person, people of a template
};

struct Gathered {
    std::map<std::string, Tally> people;
    std::map<std::string, Tally> templates;
    Tally all;
    std::int64_t open = 0;
};

const char* title_of(const std::string& framework) {
    if (framework == "soc2") return "SOC 2: privileged access to the database";
    if (framework == "hipaa") return "HIPAA: privileged access to the database";
    if (framework == "gdpr") return "GDPR: privileged access to the database";
    return "ISO/IEC 27001: privileged access to the database";
}

std::int64_t count_of(const Row& row, std::size_t column) { return row.get<std::int64_t>(column); }

// ---- what was used --------------------------------------------------------------------------------------------------

void add(Tally& to, const Row& use) {
    to.statements += count_of(use, 4);
    to.failed += count_of(use, 5);
    to.rows += count_of(use, 7);
}

struct Bars {
    std::vector<Page::Bar> bars;
    std::int64_t days = 1;  // of one
    Page::Bar& of(std::int64_t day) {
        const auto last = static_cast<std::int64_t>(bars.size()) - 1;
        return bars[static_cast<std::size_t>(std::clamp<std::int64_t>(day / days, 0, last))];
    }
};

Bars empty_bars(const Range& range) {
    constexpr std::int64_t day = 86'400'000'000;
    Bars made;
    const auto first = range.from.us / day;
    const auto count = (range.to.us - 1) / day - first + 1;
    made.days = (count + max_bars - 1) / max_bars;
    for (std::int64_t at = 0; at < count; at += made.days)
        made.bars.push_back({when({(first + at) * day}).substr(0, 10), 0, 0, 0});
    return made;
}

constexpr const char* uses =
    "SELECT (u.day - ($1 AT TIME ZONE 'UTC')::date)::bigint, u.grant_id, r.requester_name, t.name, "
    "sum(u.statements)::bigint, "
    "sum(u.failed)::bigint, sum(u.open)::bigint, sum(u.rows)::bigint FROM jit_access.uses_by_day($1, $2) u LEFT JOIN "
    "jit_access.request r ON r.id = u.grant_id LEFT JOIN jit_access.template t ON t.id = r.template_id GROUP BY 1, 2, "
    "3, 4";

constexpr const char* activations =
    "SELECT ((r.activated_at AT TIME ZONE 'UTC')::date - ($1 AT TIME ZONE 'UTC')::date)::bigint, r.requester_name, "
    "t.name "
    "FROM jit_access.request r JOIN jit_access.template t ON t.id = r.template_id WHERE r.activated_at >= $1 AND "
    "r.activated_at < $2";

constexpr const char* marks =
    "SELECT ((x.at AT TIME ZONE 'UTC')::date - ($1 AT TIME ZONE 'UTC')::date)::bigint, count(*) FROM (SELECT r.at FROM "
    "jit_access.record r WHERE r.kind IN ('drift', 'chain broken', 'journal lost', 'clock jumped', 'record lagged', "
    "'break-glass') AND r.kind <> 'use' AND r.at >= $1 AND r.at < $2 UNION ALL SELECT a.first_seen FROM "
    "jit_access.alert a WHERE "
    "a.first_seen >= $1 AND a.first_seen < $2) x GROUP BY 1";

Gathered gather(const Range& range, Bars& bars) {
    Gathered made;
    for (const auto& row : pg::query(activations, {range.from, range.to})) {
        const auto& person = row.get<std::string>(1);
        const auto& tmpl = row.get<std::string>(2);
        ++bars.of(count_of(row, 0)).grants;
        ++made.all.grants;
        ++made.people[person].grants;
        ++made.templates[tmpl].grants;
        made.people[person].others.insert(tmpl);
        made.templates[tmpl].others.insert(person);
    }
    for (const auto& row : pg::query(uses, {range.from, range.to})) {
        bars.of(count_of(row, 0)).statements += count_of(row, 4);
        add(made.all, row);
        made.open += count_of(row, 6);
        // Of a grant that this database does not know, there is no more than its number.
        add(made.people[row.maybe<std::string>(2).value_or("(unknown)")], row);
        add(made.templates[row.maybe<std::string>(3).value_or("(unknown)")], row);
    }
    for (const auto& row : pg::query(marks, {range.from, range.to}))
        bars.of(count_of(row, 0)).marks += count_of(row, 1);
    return made;
}

// ---- tables ---------------------------------------------------------------------------------------------------------

Page::Cell text(std::string value) { return {std::move(value), std::nullopt}; }
Page::Cell number(std::int64_t value) { return {{}, value}; }

Page::Table ranked(const std::map<std::string, Tally>& of, Page::Table table) {
    std::vector<std::pair<std::string, Tally>> all(of.begin(), of.end());
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& a, const auto& b) { return a.second.statements > b.second.statements; });
    table.all = static_cast<std::int64_t>(all.size());
    for (std::size_t i = 0; i < std::min(all.size(), max_rows); ++i) {
        const auto& [name, tally] = all[i];
        table.rows.push_back({text(name), number(tally.grants), number(static_cast<std::int64_t>(tally.others.size())),
                              number(tally.statements), number(tally.failed), number(tally.rows)});
    }
    return table;
}

std::vector<Page::Column> tally_columns(const char* name, const char* others) {
    return {{name}, {"grants", true}, {others, true}, {"statements", true}, {"failed", true}, {"rows", true}};
}

// Texts but for the columns that are numeric; the first column of the answer is how many there are in all.
Page::Table listed(Page::Table table, const char* sql, const Range& range) {
    const auto rows = pg::query(sql, {range.from, range.to, static_cast<std::int64_t>(max_rows)});
    for (const auto& row : rows) {
        table.all = count_of(row, 0);
        std::vector<Page::Cell> cells;
        for (std::size_t i = 0; i < table.columns.size(); ++i) {
            const auto column = i + 1;
            if (row.is_null(column))
                cells.push_back(text(""));
            else if (table.columns[i].numeric)
                cells.push_back(number(count_of(row, column)));
            else
                cells.push_back(text(row.get<std::string>(column)));
        }
        table.rows.push_back(std::move(cells));
    }
    return table;
}

constexpr const char* odd =
    "SELECT count(*) OVER (), r.seq, pg_catalog.to_char(r.at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), r.kind, "
    "r.login, "
    "r.grant_id::text, r.what FROM (SELECT r.seq, r.at, r.kind, r.login, r.grant_id, coalesce(r.detail ->> 'reason', "
    "r.detail ->> "
    "'what', r.detail::text) AS what FROM jit_access.record r WHERE r.kind <> 'use' AND (r.kind IN ('drift', 'chain "
    "broken', 'journal "
    "lost', 'clock jumped', 'record lagged', 'suspended') OR r.kind = 'refusal' AND r.sqlstate = 'JA018') AND r.at >= "
    "$1 AND r.at < $2 "
    "UNION ALL SELECT r.seq, r.at, 'own request', r.login, r.grant_id, r.statement FROM jit_access.record r WHERE "
    "r.sqlstate = 'JA006' "
    "AND r.at >= $1 AND r.at < $2) r ORDER BY r.seq DESC LIMIT $3";

constexpr const char* alerts =
    "SELECT count(*) OVER (), a.rule, a.severity, a.person, a.grant_id::text, a.count, pg_catalog.to_char(a.last_seen "
    "AT TIME ZONE "
    "'UTC', 'YYYY-MM-DD HH24:MI'), a.state || coalesce(' by ' || coalesce(a.closed_by, a.acknowledged_by), ''), "
    "coalesce(a.close_comment, a.acknowledge_comment) FROM jit_access.alert a WHERE a.last_seen >= $1 AND a.first_seen "
    "< $2 "
    "ORDER BY a.state = 'closed', a.last_seen DESC, a.id LIMIT $3";

constexpr const char* glass =
    "SELECT count(*) OVER (), r.id, r.requester_name, t.name, r.reason, pg_catalog.to_char(r.activated_at AT TIME ZONE "
    "'UTC', "
    "'YYYY-MM-DD HH24:MI'), CASE WHEN v.verdict IS NOT NULL THEN replace(v.verdict, '_', ' ') || ', by ' || "
    "v.reviewer_name WHEN v.due_at < "
    "pg_catalog.clock_timestamp() THEN 'review overdue' ELSE 'to be reviewed' END, v.comment FROM jit_access.review v "
    "JOIN jit_access.request r ON r.id "
    "= v.request_id JOIN jit_access.template t ON t.id = r.template_id WHERE r.activated_at >= $1 AND r.activated_at < "
    "$2 "
    "ORDER BY r.id DESC LIMIT $3";

constexpr const char* latest =
    "SELECT count(*) OVER (), r.id, r.requester_name, t.name, r.reason, "
    "coalesce(nullif(pg_catalog.array_to_string(ARRAY(SELECT "
    "d.approver_name FROM jit_access.decision d WHERE d.request_id = r.id AND d.verdict = 'approve' ORDER BY "
    "d.decided_at), ', '), ''), "
    "'rule ' || r.rule, CASE WHEN r.break_glass THEN 'break-glass' END), pg_catalog.to_char(r.activated_at AT TIME "
    "ZONE 'UTC', "
    "'YYYY-MM-DD HH24:MI'), pg_catalog.to_char(coalesce(r.closed_at, r.ends_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD "
    "HH24:MI'), r.state::text FROM "
    "jit_access.request r JOIN jit_access.template t ON t.id = r.template_id WHERE r.activated_at >= $1 AND "
    "r.activated_at < $2 "
    "ORDER BY r.activated_at DESC LIMIT $3";

void add_tables(Page& page, const Gathered& from, const Range& range) {
    page.tables.push_back(listed({"odd",
                                  "Exceptions on the record",
                                  "Newest first, with their numbers on the record.",
                                  {{"record", true}, {"when"}, {"kind"}, {"who"}, {"grant"}, {"what"}},
                                  {},
                                  0},
                                 odd, range));
    page.tables.push_back(
        listed({"alerts",
                "Alerts",
                "Open ones first.",
                {{"rule"}, {"severity"}, {"person"}, {"grant"}, {"times", true}, {"last"}, {"state"}, {"comment"}},
                {},
                0},
               alerts, range));
    page.tables.push_back(
        listed({"break-glass",
                "Break-glass",
                "Access that was taken without an approval, and its review by another person.",
                {{"id", true}, {"responder"}, {"template"}, {"reason"}, {"when"}, {"review"}, {"comment"}},
                {},
                0},
               glass, range));
    page.tables.push_back(ranked(
        from.people,
        {"people", "People", "By statements. A person is a login here.", tally_columns("person", "templates"), {}, 0}));
    page.tables.push_back(ranked(
        from.templates, {"templates", "Templates", "By statements.", tally_columns("template", "people"), {}, 0}));
    page.tables.push_back(
        listed({"grants",
                "Grants",
                "The newest ones.",
                {{"id", true}, {"requester"}, {"template"}, {"reason"}, {"allowed by"}, {"from"}, {"to"}, {"state"}},
                {},
                0},
               latest, range));
}

void add_controls(Page& page, const std::string& framework, const Range& range, const Gathered& from) {
    for (const auto& row : pg::query("SELECT c.control, c.title, c.not_covered, e.counts, x.count, x.exceptions, "
                                     "e.excepts FROM jit_access.control c CROSS JOIN "
                                     "pg_catalog.unnest(c.evidence) WITH ORDINALITY n (name, place) JOIN "
                                     "jit_access.evidence e ON e.name = n.name JOIN "
                                     "jit_access.collect_evidence($2, $3, $4, $5) x ON x.name = n.name WHERE "
                                     "c.framework = $1 ORDER BY c.place, n.place",
                                     {framework, range.from, range.to, from.all.statements, from.open})) {
        if (page.controls.empty() || page.controls.back().control != row.get<std::string>(0))
            page.controls.push_back({row.get<std::string>(0), row.get<std::string>(1), {}, row.get<std::string>(2)});
        page.controls.back().evidence.push_back(
            {row.get<std::string>(3), count_of(row, 4), count_of(row, 5), row.get<std::string>(6)});
    }
}

void add_figures(Page& page, const Range& range, const Gathered& from) {
    page.figures = {{"grants", "grants", from.all.grants, false},
                    {"people", "people", static_cast<std::int64_t>(from.people.size()), false},
                    {"templates", "templates", static_cast<std::int64_t>(from.templates.size()), false},
                    {"statements", "statements", from.all.statements, false},
                    {"rows", "rows moved", from.all.rows, false}};
    for (const auto& row :
         pg::query("SELECT x.name, x.count, x.exceptions FROM jit_access.collect_evidence($1, $2, 0, 0) x",
                   {range.from, range.to})) {
        const auto& name = row.get<std::string>(0);
        if (name == "refusals") page.figures.push_back({name, "refused statements", count_of(row, 1), false});
        if (name == "not_granted") page.figures.push_back({name, "requests not granted", count_of(row, 1), false});
        if (name == "break_glass") page.figures.push_back({name, "break-glass", count_of(row, 1), false});
        if (name == "alerts") page.figures.push_back({"open_alerts", "alerts not closed", count_of(row, 2), true});
        if (name == "drift") page.figures.push_back({name, "made by hand", count_of(row, 1), true});
    }
}

Range range_of(const std::optional<Instant>& from, const std::optional<Instant>& to) {
    const auto row = pg::query_row("SELECT from_at, to_at FROM jit_access.check_report($1, $2)",
                                   {pg::nullable(from), pg::nullable(to)});
    return {row->get<Instant>(0), row->get<Instant>(1)};
}

}  // namespace

std::string make(const std::optional<std::string>& framework, const std::optional<Instant>& from,
                 const std::optional<Instant>& to) {
    const auto me = principal::caller();
    principal::require_auditor(me);
    const auto range = range_of(from, to);
    const auto of =
        pg::query_row("SELECT jit_access.check_framework($1)", {pg::nullable(framework)})->get<std::string>(0);
    pg::query("SELECT jit_access.record_report('page', $1, $2, $3)", {of, range.from, range.to});

    Page page;
    page.framework = title_of(of);
    page.from = when(range.from);
    page.to = when(range.to);
    page.facts = {{"database", pg::database_name()},
                  {"made by", me.name},
                  {"made on", when({pg::query_row("SELECT pg_catalog.clock_timestamp()")->get<Instant>(0)})}};
    if (const auto cluster = pg::cluster_name(); !cluster.empty())
        page.facts.emplace(page.facts.begin(), "cluster", cluster);
    auto bars = empty_bars(range);
    const auto gathered = gather(range, bars);
    page.bars = std::move(bars.bars);
    add_figures(page, range, gathered);
    add_controls(page, of, range, gathered);
    add_tables(page, gathered, range);
    page.verification = verification::read();
    pg::ServerHasher hasher;
    return core::render(page, hasher);
}

}  // namespace jit::report
