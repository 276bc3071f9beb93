#include "jit_access/oversight/detection_batch.hpp"

#include <algorithm>
#include <charconv>

#include "jit_access/core/detection.hpp"

namespace jit::detection {

namespace {

std::optional<std::int64_t> number_in(const std::optional<std::string>& text) {
    std::int64_t number = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc())
        return std::nullopt;
    return number;
}

std::string list_of(const std::vector<std::int64_t>& numbers) {
    std::string list;
    for (const auto number : numbers) list += (list.empty() ? "" : ",") + std::to_string(number);
    return "{" + list + "}";
}

// Kinds that are a sign of something, or that the habits are made of.
const pg::TextArray& kinds() {
    static const pg::TextArray all = [] {
        pg::TextArray names{"ended", "revoked"};
        for (const auto& sign : core::signs) names.emplace_back(sign.kind);
        return names;
    }();
    return all;
}

void read_seen(Slice& slice, const std::vector<std::int64_t>& rows) {
    for (const auto& row : pg::query(
             "SELECT e.seq, e.at, e.kind, coalesce(e.sqlstate, ''), coalesce(e.login, ''), e.grant_id, "
             "coalesce(e.depth, "
             "0), coalesce(e.detail ->> 'template', t.name), coalesce(a.rolname::text, r.requester_name), e.detail ->> "
             "'member', e.detail ->> 'verdict', e.detail ->> 'seconds', r.template_id, coalesce(e.detail ->> 'what', "
             "e.detail ->> 'reason', e.detail ->> 'by') FROM jit_access.record e LEFT JOIN jit_access.request r ON "
             "r.id = "
             "e.grant_id LEFT JOIN jit_access.template t ON t.id = r.template_id LEFT JOIN pg_catalog.pg_authid a ON "
             "a.oid = r.requester WHERE e.seq = ANY ($1::bigint[]) AND e.kind = ANY ($2) ORDER BY e.seq",
             {list_of(rows), kinds()}))
        slice.seen.push_back({.seq = row.get<std::int64_t>(0),
                              .at = row.get<pg::Instant>(1).us,
                              .kind = row.get<std::string>(2),
                              .sqlstate = row.get<std::string>(3),
                              .login = row.get<std::string>(4),
                              .grant = row.maybe<std::int64_t>(5),
                              .is_inside = row.get<std::int32_t>(6) > 0,
                              .template_name = row.maybe<std::string>(7),
                              .holder = row.maybe<std::string>(8),
                              .member = row.maybe<std::string>(9),
                              .what = row.maybe<std::string>(13),
                              .verdict = row.maybe<std::string>(10),
                              .seconds = number_in(row.maybe<std::string>(11)),
                              .template_id = row.maybe<std::int64_t>(12)});
}

void read_late(Slice& slice, const std::vector<std::int64_t>& rows) {
    for (const auto& row : pg::query(
             "SELECT u.grant_id, o.seq, o.at, coalesce(o.rows, 0), u.login FROM jit_access.record o JOIN "
             "jit_access.record u ON u.node = o.node AND u.position = o.of_position AND u.kind = 'use' AND u.outcome "
             "IS "
             "NULL WHERE o.seq = ANY ($1::bigint[]) AND o.kind = 'outcome' AND u.depth = 0 AND u.grant_id IS NOT NULL "
             "ORDER BY o.seq",
             {list_of(rows)}))
        slice.late.push_back({.grant = row.get<std::int64_t>(0),
                              .first = row.get<std::int64_t>(1),
                              .last = row.get<std::int64_t>(1),
                              .at = row.get<pg::Instant>(2).us,
                              .rows = row.get<std::int64_t>(3),
                              .login = row.get<std::string>(4)});
}

}  // namespace

UsageTally add_up(std::int64_t from, std::int64_t to) {
    UsageTally tally;
    // No wide column is looked at, so that none is brought in and taken apart.
    for (const auto& row : pg::query("SELECT seq, at, kind, grant_id, login, client_addr, pid, depth, rows FROM "
                                     "jit_access.record WHERE seq > $1 AND seq <= $2 ORDER BY seq",
                                     {from, to})) {
        const auto kind = row.get<std::string>(2);
        const auto login = row.maybe<std::string>(4);
        const auto client = row.maybe<std::string>(5);
        core::AuditRecord entry;
        entry.seq = row.get<std::int64_t>(0);
        entry.at = row.get<pg::Instant>(1).us;
        entry.kind = kind;
        entry.grant_id = row.maybe<std::int64_t>(3);
        entry.login = login;
        entry.client_addr = client;
        entry.pid = row.maybe<std::int32_t>(6);
        entry.depth = row.maybe<std::int32_t>(7);
        entry.rows = row.maybe<std::int64_t>(8);
        tally.add(entry);
    }
    // Numbers may be missing at both ends, where somebody has taken rows away.
    tally.from = from;
    tally.to = to;
    return tally;
}

Slice look_at(UsageTally tally) {
    Slice slice{.from = tally.from, .to = tally.to, .at = tally.at, .used = std::move(tally.used)};
    if (!tally.others.empty()) read_seen(slice, tally.others);
    if (!tally.outcomes.empty()) read_late(slice, tally.outcomes);
    return slice;
}

const Subject& People::of(const std::string& login) {
    const auto [place, is_new] = known_.try_emplace(login);
    if (is_new) {
        const auto row = pg::query_row("SELECT person_id, person FROM jit_access.person_of_login($1)", {login}).value();
        place->second = {row.get<std::string>(0), row.get<std::string>(1)};
    }
    return place->second;
}

void Findings::add(const alert::Finding& finding) {
    constexpr std::size_t max_evidence = 20;
    const auto alike = std::find_if(all_.begin(), all_.end(), [&](const alert::Finding& known) {
        return known.person == finding.person && known.grant == finding.grant;
    });
    if (alike == all_.end()) {
        all_.push_back(finding);
        return;
    }
    alike->count += finding.count;
    alike->first = std::min(alike->first, finding.first);
    alike->last = std::max(alike->last, finding.last);
    alike->suspends |= finding.suspends;
    alike->detail = finding.detail;
    auto& evidence = alike->evidence;
    evidence.insert(evidence.end(), finding.evidence.begin(), finding.evidence.end());
    std::sort(evidence.begin(), evidence.end());
    evidence.erase(std::unique(evidence.begin(), evidence.end()), evidence.end());
    if (evidence.size() > max_evidence)
        evidence.erase(evidence.begin(), evidence.end() - static_cast<std::ptrdiff_t>(max_evidence));
}

}  // namespace jit::detection
