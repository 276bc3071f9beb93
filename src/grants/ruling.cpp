#include "jit_access/grants/ruling.hpp"

#include "jit_access/enforcement/denied_attempt.hpp"
#include "jit_access/grants/request_digest.hpp"
#include "jit_access/pg/client.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/policy/conditions.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/policy/window.hpp"

namespace jit::ruling {

using principal::Person;
using request::Request;
using templates::Template;

namespace {

// Counts the grants of the template, without the request in question, for its caps. A count that no cap needs is
// skipped, because counting takes long for a template with many past grants. contention::lock_for_caps() keeps the
// result valid.
core::Usage count_usage(const core::PersonId& person, const Template& tmpl, std::int64_t request_id) {
    if (!contention::has_caps(tmpl)) return {};
    const auto row = pg::query_row(R"sql(
        WITH live AS (
            SELECT requester FROM jit_access.request
            WHERE template_id = $1 AND id <> $3 AND state IN ('active', 'suspended'))
        SELECT (SELECT count(*) FROM live WHERE requester = ANY ($2::oid[])),
               (SELECT count(*) FROM jit_access.request
                WHERE template_id = $1 AND id <> $3 AND requester = ANY ($2::oid[])
                  AND activated_at > $4::timestamptz - interval '24 hours'),
               (SELECT count(*) FROM live),
               CASE WHEN $6 THEN (SELECT count(*) FROM jit_access.request
                                  WHERE template_id = $1 AND id <> $3
                                    AND activated_at > $4::timestamptz - interval '24 hours')
                    ELSE 0 END,
               CASE WHEN $5 > interval '0' THEN (SELECT max(closed_at) FROM jit_access.request
                                                 WHERE template_id = $1 AND id <> $3
                                                   AND requester = ANY ($2::oid[])
                                                   AND activated_at IS NOT NULL) END
    )sql",
                                   {tmpl.id, principal::logins_of(person), request_id, pg::Instant{pg::wall_clock()},
                                    pg::Duration{tmpl.cool_down.value_or(0)}, tmpl.template_per_day != 0})
                         .value();
    core::Usage usage{.person_now = row.get<std::int64_t>(0),
                      .person_today = row.get<std::int64_t>(1),
                      .template_now = row.get<std::int64_t>(2),
                      .template_today = row.get<std::int64_t>(3)};
    if (const auto end = row.maybe<pg::Instant>(4)) usage.last_end = end->us;
    return usage;
}

std::vector<core::Decision> read_decisions(const Request& request, const Template& tmpl) {
    std::vector<core::Decision> decisions;
    const auto rows = pg::query(R"sql(
        SELECT approver, approver_name, verdict = 'approve', digest
        FROM jit_access.decision
        WHERE request_id = $1
    )sql",
                                {request.id});
    if (rows.empty()) return decisions;
    const auto digest = request_digest::compute(request, tmpl);
    for (const auto& row : rows) {
        const Person approver{row.get<pg::RoleId>(0), row.get<std::string>(1)};
        // An approver whose role was dropped or renamed does not count, because the OID may belong to another person by
        // now.
        const bool is_same_role = pg::role_name(approver.role) == approver.name;
        decisions.push_back({.person = principal::person_of(approver),
                             .groups = is_same_role ? principal::approver_groups(approver, tmpl.id) : 0,
                             .approves = row.get<bool>(2),
                             .is_current = row.maybe<std::string>(3) == digest});
    }
    return decisions;
}

// Earlier break-glass grants of a person, by any login of the person as declared then or as declared now. A change of
// the declaration must not hide a grant that has not been reviewed.
core::BreakGlass read_break_glass(const Person& responder, const Template& tmpl) {
    const auto person = principal::person_of(responder);
    const auto row =
        pg::query_row(R"sql(
        SELECT count(*) FILTER (WHERE r.template_id = $4 AND v.opened_at > $5::timestamptz - interval '24 hours'),
               min(r.id) FILTER (WHERE v.reviewed_at IS NULL)
        FROM jit_access.review v
        JOIN jit_access.request r ON r.id = v.request_id
        WHERE v.person = $1 OR r.requester::text = ANY ($2) OR r.requester_name = $3
    )sql",
                      {person, principal::logins_of(person), responder.name, tmpl.id, pg::Instant{pg::wall_clock()}})
            .value();
    return {.is_responder = principal::may_break_glass(responder, tmpl.id),
            .today = row.get<std::int64_t>(0),
            .unreviewed = row.maybe<std::int64_t>(1)};
}

// The request to rule on, or the one that is about to be made.
struct Case {
    std::int64_t duration = 0;
    std::int64_t now = pg::wall_clock();
    core::Start start = core::Start::when_allowed;
    std::int64_t starts_at = now;
    std::int64_t request_id = 0;  // 0: there is no request yet
    Actor actor = Actor::other;
};

// The client of this session. Its database is not compared, because requests may be made from any database, and this
// session is connected to the control database, which the template need not allow.
core::Client requesting_client() {
    core::Client client = pg::client();
    client.database = 0;
    return client;
}

// A requested start that lies in the future is kept; it is not moved to the next opening of the windows.
void set_start(Case& about, const std::optional<pg::Instant>& starts_at) {
    if (!starts_at || starts_at->us <= about.now) return;
    about.start = core::Start::as_asked;
    about.starts_at = starts_at->us;
}

core::PolicyFacts collect_facts(const Person& requester, const Template& tmpl, const Case& about) {
    const auto person = principal::person_of(requester);
    const auto hours = window::hours_at(about.starts_at, tmpl.windows, about.duration);
    return {.policy = policy_of(tmpl),
            .requester = {.person = person,
                          .name = requester.name,
                          .is_superuser = pg::is_superuser(requester.role),
                          .is_listed = principal::may_request(requester, tmpl.id)},
            .duration = about.duration,
            .now = about.now,
            .start = about.start,
            .starts_at = about.starts_at,
            .hours = hours,
            .conditions = conditions::for_template(tmpl),
            .client = about.actor == Actor::requester ? std::optional(requesting_client()) : std::nullopt,
            .usage = count_usage(person, tmpl, about.request_id),
            .decisions = {},
            .rules = applicable_rules(requester, tmpl, core::start_of_grant(about.start, about.starts_at, hours),
                                      about.actor)};
}

}  // namespace

std::vector<core::Rule> applicable_rules(const Person& person, const Template& tmpl, std::int64_t start, Actor actor) {
    std::vector<core::Rule> rules;
    for (const auto& row : pg::query(R"sql(
             SELECT name, effect = 'allow', role, max_duration, max_risk,
                    networks = '{}'
                        OR $2 AND coalesce(pg_catalog.inet_client_addr() <<= ANY (networks::inet[]), false),
                    windows
             FROM jit_access.rule
             WHERE (templates = '{}' OR $1 = ANY (templates))
               AND (effect = 'deny' OR defined_by_superuser
                    OR NOT EXISTS (SELECT FROM jit_access.template t WHERE t.id = $1 AND t.superuser_only <> '{}'))
             ORDER BY name
         )sql",
                                     {tmpl.id, actor == Actor::requester})) {
        if (const auto role = row.maybe<pg::RoleId>(2); role && !principal::is_member_without_grant(person.role, *role))
            continue;
        core::Rule rule{
            .name = row.get<std::string>(0), .allows = row.get<bool>(1), .network_matches = row.get<bool>(5)};
        rule.windows_are_open = window::hours_at(start, row.get<pg::TextArray>(6)).open();
        if (const auto max_duration = row.maybe<pg::Duration>(3)) rule.max_duration = max_duration->us;
        if (const auto risk = row.maybe<std::string>(4)) rule.max_risk = core::risk_from(*risk).value();
        rules.push_back(std::move(rule));
    }
    return rules;
}

core::Policy policy_of(const Template& tmpl) {
    return {.template_name = tmpl.name,
            .approvals_needed = tmpl.approvals_needed,
            .distinct_groups = tmpl.distinct_groups,
            .max_duration = tmpl.max_duration,
            .total_duration = tmpl.total_duration,
            .holder_extension = tmpl.holder_extension.value_or(0),
            .cool_down = tmpl.cool_down,
            .person_at_once = tmpl.person_at_once,
            .person_per_day = tmpl.person_per_day,
            .template_at_once = tmpl.template_at_once,
            .template_per_day = tmpl.template_per_day,
            .risk = core::risk_from(tmpl.risk).value(),
            .break_glass_duration = tmpl.break_glass_duration,
            .break_glass_per_day = tmpl.break_glass_per_day};
}

core::Ruling for_new_request(const Person& requester, const Template& tmpl, std::int64_t duration,
                             const std::optional<pg::Instant>& starts_at) {
    Case about{.duration = duration, .actor = Actor::requester};
    set_start(about, starts_at);
    return core::decide(collect_facts(requester, tmpl, about));
}

core::Ruling for_break_glass(const Person& responder, const Template& tmpl, std::int64_t duration) {
    auto facts =
        collect_facts(responder, tmpl, {.duration = duration, .start = core::Start::now, .actor = Actor::requester});
    facts.kind = core::RequestKind::break_glass;
    facts.break_glass = read_break_glass(responder, tmpl);
    return core::decide(facts);
}

core::Ruling for_request(const Request& request, const Template& tmpl, Purpose purpose) {
    Case about{.duration = request.duration,
               .request_id = request.id,
               .actor = purpose == Purpose::activation_by_requester ? Actor::requester : Actor::other};
    if (purpose == Purpose::decision)
        set_start(about, request.starts_at);
    else
        about.start = core::Start::now;
    auto facts = collect_facts({request.requester, request.requester_name}, tmpl, about);
    facts.decisions = read_decisions(request, tmpl);
    // Only the rule that allowed the request when it was made may still allow it. Its networks were compared with the
    // client of the requester at that time; now the rule only has to exist.
    std::erase_if(facts.rules, [&](const core::Rule& rule) { return rule.allows && rule.name != request.rule; });
    for (auto& rule : facts.rules) rule.network_matches = rule.network_matches || rule.allows;
    return core::decide(facts);
}

void require_no_objections(const core::Ruling& ruling) {
    if (ruling.objections.empty()) return;
    const auto& first = ruling.objections.front();
    if (first.code == core::Code::not_from_here) denied_attempt::record_and_throw(first);
    throw core::Failure(first);
}

}  // namespace jit::ruling
