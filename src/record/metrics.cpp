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

// Anybody can raise an error with a code of his own: there are as many labels as there are codes of ours.
std::string_view known(const core::AuditRecord::Text& sqlstate) {
    if (sqlstate == pg::sqlstate::insufficient_privilege) return pg::sqlstate::insufficient_privilege;
    const auto* const ours = std::find_if(core::codes.begin(), core::codes.end(),
                                          [&](const core::CodeEntry& code) { return code.sqlstate == sqlstate; });
    return ours != core::codes.end() ? ours->sqlstate : "other";
}

// How long decisions, activations and clean-ups took, in buckets: what a rule or a responder needed no approval for has
// no decision, and a start that was asked for later is not waited for.
constexpr const char* add_durations =
    "WITH decided AS (SELECT r.*, (SELECT max(d.decided_at) FROM jit_access.decision d WHERE d.request_id = r.id AND "
    "d.verdict = 'approve') AS decided_at FROM jit_access.request r WHERE r.id = ANY ($1::bigint[])), lasted (name, "
    "seconds) AS (SELECT 'decision_seconds', extract(epoch FROM decided_at - requested_at) FROM decided WHERE "
    "decided_at IS NOT NULL UNION ALL SELECT 'activation_seconds', extract(epoch FROM activated_at - "
    "greatest(decided_at, starts_at)) FROM decided WHERE decided_at IS NOT NULL AND activated_at IS NOT NULL UNION "
    "ALL SELECT 'cleanup_seconds', extract(epoch FROM timestamptz '2000-01-01 00:00:00+00' + e.at::bigint * interval "
    "'1 microsecond' - r.closed_at) FROM unnest($2, $3) AS e (id, at) JOIN jit_access.request r ON r.id = "
    "e.id::bigint WHERE r.closed_at IS NOT NULL), fair AS (SELECT name, greatest(seconds, 0) AS seconds FROM lasted), "
    "counted AS (SELECT name || '_bucket' AS name, b::text AS label, count(*) FILTER (WHERE seconds <= b) AS number "
    "FROM fair, unnest('{0.1, 0.5, 1, 5, 30, 60, 300, 900, 3600, 14400, 86400}'::double precision[]) AS b GROUP BY "
    "1, 2 UNION ALL SELECT name || '_sum', '', sum(seconds) FROM fair GROUP BY 1 UNION ALL SELECT name || '_count', "
    "'', count(*) FROM fair GROUP BY 1) INSERT INTO jit_access.counter AS c (name, label, value) SELECT name, label, "
    "number FROM counted ON CONFLICT (name, label) DO UPDATE SET value = c.value + excluded.value";

}  // namespace

// There are few of them in one batch, so each is looked for among those that were there.
void Counter::count(std::string_view name, std::string_view label) {
    const auto known = std::find_if(counts_.begin(), counts_.end(),
                                    [&](const Count& c) { return c.label == label && c.name == name; });
    if (known != counts_.end())
        ++known->number;
    else
        counts_.push_back({name, label, 1});
}

// A use that is joined with its outcome later has it in a row of its own.
void Counter::add(const core::AuditRecord& entry) {
    const bool is_use = entry.kind == "use";
    if (entry.kind != "outcome") count("events_total", entry.kind);
    if (entry.kind == "refusal") count("refusals_total", known(entry.sqlstate));
    if ((is_use || entry.of_position) && entry.outcome) count("statements_total", *entry.outcome);
    if (!entry.grant_id || entry.position) return;
    if (entry.kind == "activated") activated_.push_back(*entry.grant_id);
    if (entry.kind == "cleaned up") cleaned_up_.push_back({*entry.grant_id, entry.at});
}

void Counter::keep_counts() const {
    pg::TextArray names;
    pg::TextArray labels;
    pg::TextArray numbers;
    for (const auto& count : counts_) {
        names.emplace_back(count.name);
        labels.emplace_back(count.label);
        numbers.push_back(std::to_string(count.number));
    }
    pg::execute(
        "INSERT INTO jit_access.counter AS c (name, label, value) SELECT n, l, v::double precision FROM "
        "unnest($1, $2, $3) AS x (n, l, v) ON CONFLICT (name, label) DO UPDATE SET value = c.value + "
        "excluded.value",
        {names, labels, numbers});
}

void Counter::keep_durations() const {
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

void Counter::keep() const {
    static bool told = false;
    const auto fault = pg::in_subtransaction([&] {
        keep_counts();
        keep_durations();
    });
    if (fault && !told) pg::log_line("could not count what is on the record: " + *fault);
    told = fault.has_value();
}

}  // namespace jit::metrics
