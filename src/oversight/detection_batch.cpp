#include "jit_access/oversight/detection_batch.hpp"

#include <algorithm>
#include <charconv>

#include "jit_access/core/detection.hpp"

namespace jit::detection {

namespace {

std::optional<std::int64_t> parse_number(const std::optional<std::string>& text) {
    std::int64_t number = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc())
        return std::nullopt;
    return number;
}

std::string bigint_array(const std::vector<std::int64_t>& numbers) {
    std::string list;
    for (const auto number : numbers) list += (list.empty() ? "" : ",") + std::to_string(number);
    return "{" + list + "}";
}

// The kinds of record that any evaluator reads: the signals, and the ends of grants for the volumes of templates. The
// requests, from which baselines are made, are signals as well.
const pg::TextArray& observed_kinds() {
    static const pg::TextArray kinds = [] {
        pg::TextArray names{"ended", "revoked"};
        for (const auto& rule : core::alert_rules)
            if (!rule.signal.kind.empty()) names.emplace_back(rule.signal.kind);
        return names;
    }();
    return kinds;
}

constexpr const char* observations_sql = R"sql(
    SELECT e.seq, e.at, e.kind, coalesce(e.sqlstate, ''), coalesce(e.login, ''), e.grant_id, coalesce(e.depth, 0),
           coalesce(e.detail ->> 'template', t.name),
           coalesce(a.rolname::text, r.requester_name),
           e.detail ->> 'member',
           e.detail ->> 'verdict',
           e.detail ->> 'seconds',
           r.template_id,
           coalesce(e.detail ->> 'what', e.detail ->> 'reason', e.detail ->> 'by'),
           e.kind = 'refusal' AND coalesce(e.statement ~* '^\s*DO\M.*\mjit_\w+\s*\(', false)
    FROM jit_access.record e
    LEFT JOIN jit_access.request r ON r.id = e.grant_id
    LEFT JOIN jit_access.template t ON t.id = r.template_id
    LEFT JOIN pg_catalog.pg_authid a ON a.oid = r.requester
    WHERE e.seq = ANY ($1::bigint[]) AND e.kind = ANY ($2)
    ORDER BY e.seq)sql";

void read_observations(Batch& batch, const std::vector<std::int64_t>& seqs) {
    for (const auto& row : pg::query(observations_sql, {bigint_array(seqs), observed_kinds()}))
        batch.observations.push_back({.seq = row.get<std::int64_t>(0),
                                      .at = row.get<pg::Instant>(1).us,
                                      .kind = row.get<std::string>(2),
                                      .sqlstate = row.get<std::string>(3),
                                      .login = row.get<std::string>(4),
                                      .grant = row.maybe<std::int64_t>(5),
                                      .is_nested = row.get<std::int32_t>(6) > 0,
                                      .is_in_own_block = row.get<bool>(14),
                                      .template_name = row.maybe<std::string>(7),
                                      .holder = row.maybe<std::string>(8),
                                      .member = row.maybe<std::string>(9),
                                      .reason = row.maybe<std::string>(13),
                                      .verdict = row.maybe<std::string>(10),
                                      .seconds = parse_number(row.maybe<std::string>(11)),
                                      .template_id = row.maybe<std::int64_t>(12)});
}

// An outcome is a record of its own if the statement was still running when its use was ingested.
constexpr const char* late_usage_sql = R"sql(
    SELECT u.grant_id, o.seq, o.at, coalesce(o.rows, 0), u.login
    FROM jit_access.record o
    JOIN jit_access.record u
        ON u.node = o.node AND u.position = o.of_position AND u.kind = 'use' AND u.outcome IS NULL
    WHERE o.seq = ANY ($1::bigint[]) AND o.kind = 'outcome' AND u.depth = 0 AND u.grant_id IS NOT NULL
    ORDER BY o.seq)sql";

void read_late_usage(Batch& batch, const std::vector<std::int64_t>& seqs) {
    for (const auto& row : pg::query(late_usage_sql, {bigint_array(seqs)}))
        batch.late_usage.push_back({.grant = row.get<std::int64_t>(0),
                                    .first = row.get<std::int64_t>(1),
                                    .last = row.get<std::int64_t>(1),
                                    .at = row.get<pg::Instant>(2).us,
                                    .rows = row.get<std::int64_t>(3),
                                    .login = row.get<std::string>(4)});
}

}  // namespace

UsageTally tally_records(std::int64_t from, std::int64_t to) {
    UsageTally tally;
    // No wide column (statement, detail) is read, so that no value has to be detoasted.
    for (const auto& row : pg::query(R"sql(
             SELECT seq, at, kind, grant_id, login, client_addr, pid, depth, rows
             FROM jit_access.record
             WHERE seq > $1 AND seq <= $2
             ORDER BY seq)sql",
                                     {from, to})) {
        // The strings are views into these.
        const auto kind = row.get<std::string>(2);
        const auto login = row.maybe<std::string>(4);
        const auto client = row.maybe<std::string>(5);
        core::AuditRecord record;
        record.seq = row.get<std::int64_t>(0);
        record.at = row.get<pg::Instant>(1).us;
        record.kind = kind;
        record.grant_id = row.maybe<std::int64_t>(3);
        record.login = login;
        record.client_addr = client;
        record.pid = row.maybe<std::int32_t>(6);
        record.depth = row.maybe<std::int32_t>(7);
        record.rows = row.maybe<std::int64_t>(8);
        tally.add(record);
    }
    // Rows at both ends of the range may have been removed. The position still advances to the end of the range.
    tally.from = from;
    tally.to = to;
    return tally;
}

Batch read_batch(UsageTally tally) {
    Batch batch{.from = tally.from, .to = tally.to, .at = tally.at, .usage = std::move(tally.used)};
    if (!tally.others.empty()) read_observations(batch, tally.others);
    if (!tally.outcomes.empty()) read_late_usage(batch, tally.outcomes);
    return batch;
}

const Person& PersonCache::find(const std::string& login) {
    const auto [place, is_new] = persons_.try_emplace(login);
    if (is_new) {
        const auto row = pg::query_row("SELECT person_id, person FROM jit_access.person_of_login($1)", {login}).value();
        place->second = {row.get<std::string>(0), row.get<std::string>(1)};
    }
    return place->second;
}

void Findings::add(const alert::Finding& finding) {
    constexpr std::size_t max_evidence = 20;
    const auto same = std::find_if(findings_.begin(), findings_.end(), [&](const alert::Finding& earlier) {
        return earlier.person_id == finding.person_id && earlier.grant == finding.grant;
    });
    if (same == findings_.end()) {
        findings_.push_back(finding);
        return;
    }
    same->count += finding.count;
    same->first = std::min(same->first, finding.first);
    same->last = std::max(same->last, finding.last);
    same->suspends |= finding.suspends;
    same->detail = finding.detail;
    auto& evidence = same->evidence;
    evidence.insert(evidence.end(), finding.evidence.begin(), finding.evidence.end());
    std::sort(evidence.begin(), evidence.end());
    evidence.erase(std::unique(evidence.begin(), evidence.end()), evidence.end());
    if (evidence.size() > max_evidence)
        evidence.erase(evidence.begin(), evidence.end() - static_cast<std::ptrdiff_t>(max_evidence));
}

}  // namespace jit::detection
