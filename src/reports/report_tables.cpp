#include "jit_access/reports/report_tables.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace jit::report {

namespace {

using core::Page;

constexpr std::size_t max_rows = 30;  // of a table

Page::Cell text(std::string value) { return {std::move(value), std::nullopt}; }
Page::Cell number(std::int64_t value) { return {{}, value}; }

// Fills the table with the rows that have the most statements. Rows with equal numbers are ordered by name.
Page::Table rank(const std::map<std::string, Activity>& activities, Page::Table table) {
    std::vector<std::pair<std::string, Activity>> all(activities.begin(), activities.end());
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& a, const auto& b) { return a.second.statements > b.second.statements; });
    table.all = static_cast<std::int64_t>(all.size());
    for (std::size_t i = 0; i < std::min(all.size(), max_rows); ++i) {
        const auto& [name, activity] = all[i];
        table.rows.push_back({text(name), number(activity.grants),
                              number(static_cast<std::int64_t>(activity.others.size())), number(activity.statements),
                              number(activity.failed), number(activity.rows)});
    }
    return table;
}

std::vector<Page::Column> activity_columns(const char* name, const char* others) {
    return {{name}, {"grants", true}, {others, true}, {"statements", true}, {"failed", true}, {"rows", true}};
}

// Fills the table from a query with the parameters from, to and the maximum of rows. The first column of each row is
// the number of rows without that maximum; the others are the columns of the table.
Page::Table fill(Page::Table table, const char* sql, const Range& range) {
    const auto rows = pg::query(sql, {range.from, range.to, static_cast<std::int64_t>(max_rows)});
    for (const auto& row : rows) {
        table.all = row.get<std::int64_t>(0);
        std::vector<Page::Cell> cells;
        for (std::size_t i = 0; i < table.columns.size(); ++i) {
            const auto column = i + 1;
            if (row.is_null(column))
                cells.push_back(text(""));
            else if (table.columns[i].numeric)
                cells.push_back(number(row.get<std::int64_t>(column)));
            else
                cells.push_back(text(row.get<std::string>(column)));
        }
        table.rows.push_back(std::move(cells));
    }
    return table;
}

constexpr const char* exceptions_sql = R"sql(
    SELECT count(*) OVER (), r.seq, pg_catalog.to_char(r.at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), r.kind,
           r.login, r.grant_id::text, r.what
    FROM (SELECT r.seq, r.at, r.kind, r.login, r.grant_id,
                 coalesce(r.detail ->> 'reason', r.detail ->> 'what', r.detail::text) AS what
          FROM jit_access.record r
          WHERE r.kind <> 'use'
            AND (r.kind IN ('drift', 'chain broken', 'journal lost', 'clock jumped', 'record lagged', 'suspended')
                 OR r.kind = 'refusal' AND r.sqlstate = 'JA018')
            AND r.at >= $1 AND r.at < $2
          UNION ALL
          SELECT r.seq, r.at, 'own request', r.login, r.grant_id, r.statement
          FROM jit_access.record r
          WHERE r.kind = 'refusal' AND r.sqlstate = 'JA006' AND r.at >= $1 AND r.at < $2) r
    ORDER BY r.seq DESC
    LIMIT $3)sql";

constexpr const char* alerts_sql = R"sql(
    SELECT count(*) OVER (), a.rule, a.severity, a.person, a.grant_id::text, a.count,
           pg_catalog.to_char(a.last_seen AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
           a.state || coalesce(' by ' || coalesce(a.closed_by, a.acknowledged_by), ''),
           coalesce(a.close_comment, a.acknowledge_comment)
    FROM jit_access.alert a
    WHERE a.last_seen >= $1 AND a.first_seen < $2
    ORDER BY a.state = 'closed', a.last_seen DESC, a.id
    LIMIT $3)sql";

constexpr const char* break_glass_sql = R"sql(
    SELECT count(*) OVER (), r.id, r.requester_name, t.name, r.reason,
           pg_catalog.to_char(r.activated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
           CASE WHEN v.verdict IS NOT NULL THEN replace(v.verdict, '_', ' ') || ', by ' || v.reviewer_name
                WHEN v.due_at < pg_catalog.clock_timestamp() THEN 'review overdue'
                ELSE 'to be reviewed' END,
           v.comment
    FROM jit_access.review v
    JOIN jit_access.request r ON r.id = v.request_id
    JOIN jit_access.template t ON t.id = r.template_id
    WHERE r.activated_at >= $1 AND r.activated_at < $2
    ORDER BY r.id DESC
    LIMIT $3)sql";

constexpr const char* grants_sql = R"sql(
    SELECT count(*) OVER (), r.id, r.requester_name, t.name, r.reason,
           coalesce(
               nullif(pg_catalog.array_to_string(ARRAY(
                          SELECT d.approver_name FROM jit_access.decision d
                          WHERE d.request_id = r.id AND d.verdict = 'approve'
                          ORDER BY d.decided_at), ', '), ''),
               'rule ' || r.rule,
               CASE WHEN r.break_glass THEN 'break-glass' END),
           pg_catalog.to_char(r.activated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
           pg_catalog.to_char(coalesce(r.closed_at, r.ends_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
           r.state::text
    FROM jit_access.request r
    JOIN jit_access.template t ON t.id = r.template_id
    WHERE r.activated_at >= $1 AND r.activated_at < $2
    ORDER BY r.activated_at DESC
    LIMIT $3)sql";

}  // namespace

void add_tables(Page& page, const Summary& summary, const Range& range) {
    page.tables.push_back(fill({"odd",
                                "Exceptions on the record",
                                "Newest first, with their numbers on the record.",
                                {{"record", true}, {"when"}, {"kind"}, {"who"}, {"grant"}, {"what"}},
                                {},
                                0},
                               exceptions_sql, range));
    page.tables.push_back(
        fill({"alerts",
              "Alerts",
              "Open ones first.",
              {{"rule"}, {"severity"}, {"person"}, {"grant"}, {"times", true}, {"last"}, {"state"}, {"comment"}},
              {},
              0},
             alerts_sql, range));
    page.tables.push_back(
        fill({"break-glass",
              "Break-glass",
              "Access that was taken without an approval, and its review by another person.",
              {{"id", true}, {"responder"}, {"template"}, {"reason"}, {"when"}, {"review"}, {"comment"}},
              {},
              0},
             break_glass_sql, range));
    page.tables.push_back(rank(summary.people, {"people",
                                                "People",
                                                "By statements. A person is a login here.",
                                                activity_columns("person", "templates"),
                                                {},
                                                0}));
    page.tables.push_back(
        rank(summary.templates,
             {"templates", "Templates", "By statements.", activity_columns("template", "people"), {}, 0}));
    page.tables.push_back(
        fill({"grants",
              "Grants",
              "The newest ones.",
              {{"id", true}, {"requester"}, {"template"}, {"reason"}, {"allowed by"}, {"from"}, {"to"}, {"state"}},
              {},
              0},
             grants_sql, range));
}

}  // namespace jit::report
