#include "jit_access/record/metrics.hpp"

#include <algorithm>
#include <string_view>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/journal_record.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/sql.hpp"
#include "jit_access/pg/xact.hpp"

namespace jit::metrics {

namespace {

// The label for a code. Any user can raise an error with a SQLSTATE of their own, and the row of a label is never
// deleted. All codes that the extension does not define therefore share one label.
std::string_view label_of(const core::AuditRecord::Text& sqlstate) {
    constexpr std::string_view insufficient_privilege = "42501";
    if (sqlstate == insufficient_privilege) return insufficient_privilege;
    const auto* const ours = std::find_if(core::codes.begin(), core::codes.end(),
                                          [&](const core::CodeEntry& code) { return code.sqlstate == sqlstate; });
    return ours != core::codes.end() ? ours->sqlstate : "other";
}

// Histograms of how long decisions, activations and clean-ups took. A grant that needed no approval has no decision,
// and the time until a start that was requested for later does not count as waiting.
constexpr const char* add_durations = R"sql(
    WITH decided AS (
        SELECT r.*, (SELECT max(d.decided_at) FROM jit_access.decision d
                     WHERE d.request_id = r.id AND d.verdict = 'approve') AS decided_at
        FROM jit_access.request r
        WHERE r.id = ANY ($1::bigint[])
    ), lasted (name, seconds) AS (
        SELECT 'decision_seconds', extract(epoch FROM decided_at - requested_at)
        FROM decided
        WHERE decided_at IS NOT NULL
        UNION ALL
        SELECT 'activation_seconds', extract(epoch FROM activated_at - greatest(decided_at, starts_at))
        FROM decided
        WHERE decided_at IS NOT NULL AND activated_at IS NOT NULL
        UNION ALL
        SELECT 'cleanup_seconds', extract(epoch FROM timestamptz '2000-01-01 00:00:00+00'
                                                     + e.at::bigint * interval '1 microsecond' - r.closed_at)
        FROM unnest($2, $3) AS e (id, at)
        JOIN jit_access.request r ON r.id = e.id::bigint
        WHERE r.closed_at IS NOT NULL
    ), fair AS (
        SELECT name, greatest(seconds, 0) AS seconds FROM lasted
    ), counted AS (
        SELECT name || '_bucket' AS name, b::text AS label, count(*) FILTER (WHERE seconds <= b) AS number
        FROM fair, unnest('{0.1, 0.5, 1, 5, 30, 60, 300, 900, 3600, 14400, 86400}'::double precision[]) AS b
        GROUP BY 1, 2
        UNION ALL
        SELECT name || '_sum', '', sum(seconds) FROM fair GROUP BY 1
        UNION ALL
        SELECT name || '_count', '', count(*) FROM fair GROUP BY 1
    )
    INSERT INTO jit_access.counter AS c (name, label, value)
    SELECT name, label, number FROM counted
    ON CONFLICT (name, label) DO UPDATE SET value = c.value + excluded.value
)sql";

}  // namespace

// A batch has a handful of different counts, so a linear search is the fastest.
void Counter::increment(std::string_view name, std::string_view label) {
    const auto count = std::find_if(counts_.begin(), counts_.end(),
                                    [&](const Count& c) { return c.label == label && c.name == name; });
    if (count != counts_.end())
        ++count->number;
    else
        counts_.push_back({name, label, 1});
}

void Counter::add(const core::AuditRecord& record) {
    const bool is_use = record.kind == "use";
    if (record.kind != "outcome") increment("events_total", record.kind);
    if (record.kind == "refusal") increment("refusals_total", label_of(record.sqlstate));
    // A statement is counted at the row that holds its outcome: the row of its use, or a later one.
    if ((is_use || record.of_position) && record.outcome) increment("statements_total", *record.outcome);
    if (!record.grant_id || record.position) return;  // the rest is about control events, which have no position
    if (record.kind == "activated") activated_.push_back(*record.grant_id);
    if (record.kind == "cleaned up") cleaned_up_.push_back({*record.grant_id, record.at});
}

void Counter::store_counts() const {
    pg::TextArray names;
    pg::TextArray labels;
    pg::TextArray numbers;
    for (const auto& count : counts_) {
        names.emplace_back(count.name);
        labels.emplace_back(count.label);
        numbers.push_back(std::to_string(count.number));
    }
    pg::execute(R"sql(
        INSERT INTO jit_access.counter AS c (name, label, value)
        SELECT n, l, v::double precision
        FROM unnest($1, $2, $3) AS x (n, l, v)
        ON CONFLICT (name, label) DO UPDATE SET value = c.value + excluded.value
    )sql",
                {names, labels, numbers});
}

void Counter::store_durations() const {
    if (activated_.empty() && cleaned_up_.empty()) return;
    pg::TextArray activated;
    pg::TextArray cleaned_up;
    pg::TextArray cleaned_up_at;
    for (const auto grant : activated_) activated.push_back(std::to_string(grant));
    for (const auto& [grant, at] : cleaned_up_) {
        cleaned_up.push_back(std::to_string(grant));
        cleaned_up_at.push_back(std::to_string(at));
    }
    pg::execute(add_durations, {activated, cleaned_up, cleaned_up_at});
}

void Counter::store() const {
    static bool is_failing = false;  // a failure is logged once, until a call succeeds
    const auto fault = pg::in_subtransaction([&] {
        store_counts();
        store_durations();
    });
    if (fault && !is_failing) pg::log_line("could not count the rows of the record: " + *fault);
    is_failing = fault.has_value();
}

}  // namespace jit::metrics
