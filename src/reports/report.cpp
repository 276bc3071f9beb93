#include "jit_access/reports/report.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/report_model.hpp"
#include "jit_access/identity/principal.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/digest.hpp"
#include "jit_access/reports/report_tables.hpp"
#include "jit_access/reports/verification.hpp"

namespace jit::report {

namespace {

using core::Page;
using pg::Instant;
using pg::Row;
using verification::format_time;

constexpr std::int64_t max_bars = 92;

const char* title_of(const std::string& framework) {
    if (framework == "soc2") return "SOC 2: privileged access to the database";
    if (framework == "hipaa") return "HIPAA: privileged access to the database";
    if (framework == "gdpr") return "GDPR: privileged access to the database";
    return "ISO/IEC 27001: privileged access to the database";
}

std::int64_t count_of(const Row& row, std::size_t column) { return row.get<std::int64_t>(column); }

// ---- activity -------------------------------------------------------------------------------------------------------

// `usage` is a row of usage_sql.
void add_usage(Activity& activity, const Row& usage) {
    activity.statements += count_of(usage, 4);
    activity.failed += count_of(usage, 5);
    activity.rows += count_of(usage, 7);
}

// The bars of the chart. A long range has several days in a bar.
struct Chart {
    std::vector<Page::Bar> bars;
    std::int64_t days_per_bar = 1;
    Page::Bar& bar_of(std::int64_t day) {
        const auto last = static_cast<std::int64_t>(bars.size()) - 1;
        return bars[static_cast<std::size_t>(std::clamp<std::int64_t>(day / days_per_bar, 0, last))];
    }
};

Chart empty_chart(const Range& range) {
    constexpr std::int64_t day = 86'400'000'000;
    Chart chart;
    const auto first = range.from.us / day;
    const auto days = (range.to.us - 1) / day - first + 1;
    chart.days_per_bar = (days + max_bars - 1) / max_bars;
    for (std::int64_t at = 0; at < days; at += chart.days_per_bar)
        chart.bars.push_back({format_time({(first + at) * day}).substr(0, 10), 0, 0, 0});
    return chart;
}

// In these queries the first column is the number of the day in the range.
constexpr const char* usage_sql = R"sql(
    SELECT (u.day - ($1 AT TIME ZONE 'UTC')::date)::bigint, u.grant_id, r.requester_name, t.name,
           sum(u.statements)::bigint, sum(u.failed)::bigint, sum(u.open)::bigint, sum(u.rows)::bigint
    FROM jit_access.uses_by_day($1, $2) u
    LEFT JOIN jit_access.request r ON r.id = u.grant_id
    LEFT JOIN jit_access.template t ON t.id = r.template_id
    GROUP BY 1, 2, 3, 4)sql";

constexpr const char* activations_sql = R"sql(
    SELECT ((r.activated_at AT TIME ZONE 'UTC')::date - ($1 AT TIME ZONE 'UTC')::date)::bigint,
           r.requester_name, t.name
    FROM jit_access.request r
    JOIN jit_access.template t ON t.id = r.template_id
    WHERE r.activated_at >= $1 AND r.activated_at < $2)sql";

// The condition on 'use' changes no result. It lets the planner use the partial index record_by_kind.
constexpr const char* marks_sql = R"sql(
    SELECT ((x.at AT TIME ZONE 'UTC')::date - ($1 AT TIME ZONE 'UTC')::date)::bigint, count(*)
    FROM (SELECT r.at
          FROM jit_access.record r
          WHERE r.kind IN ('drift', 'chain broken', 'journal lost', 'clock jumped', 'record lagged', 'break-glass')
            AND r.kind <> 'use' AND r.at >= $1 AND r.at < $2
          UNION ALL
          SELECT a.first_seen FROM jit_access.alert a WHERE a.first_seen >= $1 AND a.first_seen < $2) x
    GROUP BY 1)sql";

Summary summarise(const Range& range, Chart& chart) {
    Summary summary;
    for (const auto& row : pg::query(activations_sql, {range.from, range.to})) {
        const auto& person = row.get<std::string>(1);
        const auto& tmpl = row.get<std::string>(2);
        ++chart.bar_of(count_of(row, 0)).grants;
        ++summary.total.grants;
        ++summary.people[person].grants;
        ++summary.templates[tmpl].grants;
        summary.people[person].others.insert(tmpl);
        summary.templates[tmpl].others.insert(person);
    }
    for (const auto& row : pg::query(usage_sql, {range.from, range.to})) {
        chart.bar_of(count_of(row, 0)).statements += count_of(row, 4);
        add_usage(summary.total, row);
        summary.open += count_of(row, 6);
        // The record may have uses of grants that this database does not know, for example because the database was
        // restored.
        add_usage(summary.people[row.maybe<std::string>(2).value_or("(unknown)")], row);
        add_usage(summary.templates[row.maybe<std::string>(3).value_or("(unknown)")], row);
    }
    for (const auto& row : pg::query(marks_sql, {range.from, range.to}))
        chart.bar_of(count_of(row, 0)).marks += count_of(row, 1);
    return summary;
}

// ---- the page -------------------------------------------------------------------------------------------------------

constexpr const char* controls_sql = R"sql(
    SELECT c.control, c.title, c.not_covered, e.counts, x.count, x.exceptions, e.excepts
    FROM jit_access.control c
    CROSS JOIN pg_catalog.unnest(c.evidence) WITH ORDINALITY n (name, place)
    JOIN jit_access.evidence e ON e.name = n.name
    JOIN jit_access.collect_evidence($2, $3, $4, $5) x ON x.name = n.name
    WHERE c.framework = $1
    ORDER BY c.place, n.place)sql";

void add_controls(Page& page, const std::string& framework, const Range& range, const Summary& summary) {
    for (const auto& row :
         pg::query(controls_sql, {framework, range.from, range.to, summary.total.statements, summary.open})) {
        if (page.controls.empty() || page.controls.back().control != row.get<std::string>(0))
            page.controls.push_back({row.get<std::string>(0), row.get<std::string>(1), {}, row.get<std::string>(2)});
        page.controls.back().evidence.push_back(
            {row.get<std::string>(3), count_of(row, 4), count_of(row, 5), row.get<std::string>(6)});
    }
}

void add_figures(Page& page, const Range& range, const Summary& summary) {
    page.figures = {{"grants", "grants", summary.total.grants, false},
                    {"people", "people", static_cast<std::int64_t>(summary.people.size()), false},
                    {"templates", "templates", static_cast<std::int64_t>(summary.templates.size()), false},
                    {"statements", "statements", summary.total.statements, false},
                    {"rows", "rows moved", summary.total.rows, false}};
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

// Throws the ServerError of check_report() if the range is invalid. A NULL time stands for its default: the end is now,
// the beginning 90 days before the end.
Range checked_range(const std::optional<Instant>& from, const std::optional<Instant>& to) {
    const auto row = pg::query_row("SELECT from_at, to_at FROM jit_access.check_report($1, $2)",
                                   {pg::nullable(from), pg::nullable(to)});
    return {row->get<Instant>(0), row->get<Instant>(1)};
}

}  // namespace

std::string render_page(const std::optional<std::string>& framework, const std::optional<Instant>& from,
                        const std::optional<Instant>& to) {
    const auto caller = principal::caller();
    principal::require_auditor(caller);
    const auto range = checked_range(from, to);
    const auto checked_framework =
        pg::query_row("SELECT jit_access.check_framework($1)", {pg::nullable(framework)})->get<std::string>(0);
    pg::query("SELECT jit_access.record_report('page', $1, $2, $3)", {checked_framework, range.from, range.to});

    Page page;
    page.framework = title_of(checked_framework);
    page.from = format_time(range.from);
    page.to = format_time(range.to);
    page.facts = {{"database", pg::database_name()},
                  {"made by", caller.name},
                  {"made on", format_time({pg::query_row("SELECT pg_catalog.clock_timestamp()")->get<Instant>(0)})}};
    if (const auto cluster = pg::cluster_name(); !cluster.empty())
        page.facts.emplace(page.facts.begin(), "cluster", cluster);
    auto chart = empty_chart(range);
    const auto summary = summarise(range, chart);
    page.bars = std::move(chart.bars);
    add_figures(page, range, summary);
    add_controls(page, checked_framework, range, summary);
    add_tables(page, summary, range);
    page.verification = verification::describe();
    pg::ServerHasher hasher;
    return core::render(page, hasher);
}

}  // namespace jit::report
