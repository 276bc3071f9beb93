#include "jit_access/oversight/alert.hpp"

#include <algorithm>

#include "jit_access/core/detection.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/grants/request.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/shared/blocking_session.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::alert {

using core::Code;
using core::Failure;
using principal::Person;

namespace {

struct Known {
    std::string rule;
    core::PersonId about;
    std::optional<std::int64_t> grant;
    std::optional<Person> holder;  // of the grant
    std::string state;
};

Known lock(std::int64_t id) {
    const auto row = pg::query_row(
        "SELECT a.rule, a.person_id, a.grant_id, r.requester, r.requester_name, a.state FROM jit_access.alert a LEFT "
        "JOIN jit_access.request r ON r.id = a.grant_id WHERE a.id = $1 FOR UPDATE OF a",
        {id});
    if (!row)
        throw Failure(Code::invalid_argument, "alert " + std::to_string(id) + " does not exist", {},
                      "Look at jit_access.alerts.");
    Known known{row->get<std::string>(0), row->get<std::string>(1), row->maybe<std::int64_t>(2), std::nullopt,
                row->get<std::string>(5)};
    if (known.grant) known.holder = Person{row->get<pg::RoleId>(3), row->get<std::string>(4)};
    return known;
}

// Who he was then, and whoever his login is of now.
bool is_about(const Known& known, const core::PersonId& person) {
    return known.about == person || (known.holder && principal::person_of(*known.holder) == person);
}

void check_alert_comment(const std::optional<std::string>& comment) {
    request::check_text(comment, "comment");
    if (!comment) throw Failure(Code::invalid_argument, "invalid comment", "It is NULL.", "Say why.");
}

// Whoever deals with an alert is an auditor and not whom it is about, and does it himself.
Known take(std::int64_t id, const char* verb, const Person& me, const principal::Origin& origin) {
    auto known = lock(id);
    const std::string what = std::string("cannot ") + verb + " alert " + std::to_string(id);
    if (is_about(known, principal::person_of(me)))
        throw Failure(Code::own_request, what, "It is about you.", "Another auditor has to do it.");
    if (known.state == "closed" || known.state == std::string(verb) + "d")
        throw Failure(Code::wrong_state, what, "It is " + known.state + ".", "Look at jit_access.alerts.");
    principal::require_own_statement(me, origin, "alert " + std::to_string(id) + " is dealt with");
    return known;
}

control_event::Detail detail_of(std::int64_t id, const Known& known, const std::optional<std::string>& comment) {
    return {{"alert", std::to_string(id)}, {"rule", known.rule}, {"comment", comment}};
}

}  // namespace

namespace {

struct Raised {
    std::int64_t id;
    std::int64_t count;
    bool is_told;  // there is something to tell: it is new, or there are ten times as many
};

bool has_grown(std::int64_t before, std::int64_t now) {
    std::int64_t step = 1;
    while (step <= before) step *= 10;
    return now >= step;
}

constexpr std::int64_t max_evidence = 20;

// The newest.
std::string list_of(const std::vector<std::int64_t>& evidence) {
    std::string list;
    const auto first = std::max<std::int64_t>(0, std::ssize(evidence) - max_evidence);
    for (auto i = static_cast<std::size_t>(first); i < evidence.size(); ++i)
        list += (list.empty() ? "" : ",") + std::to_string(evidence[i]);
    return "{" + list + "}";
}

Raised write(const alert_rule::Rule& rule, const Finding& finding, const pg::TextArray& keys,
             const pg::TextArray& values) {
    const auto row =
        pg::query_row(
            "INSERT INTO jit_access.alert AS a (rule, severity, person, person_id, grant_id, first_seen, last_seen, "
            "count, detail, evidence, suspends) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, pg_catalog.jsonb_object($9, "
            "$10), $11::bigint[], $12) ON CONFLICT (rule, person_id, grant_id) WHERE state <> 'closed' DO UPDATE SET "
            "count = a.count + excluded.count, first_seen = least(a.first_seen, excluded.first_seen), last_seen = "
            "greatest(a.last_seen, excluded.last_seen), detail = excluded.detail, suspends = a.suspends OR "
            "excluded.suspends, evidence = ARRAY(SELECT e FROM (SELECT DISTINCT e FROM pg_catalog.unnest(a.evidence || "
            "excluded.evidence) e ORDER BY e DESC LIMIT $13) n ORDER BY e) RETURNING id, count",
            {rule.name, rule.severity, finding.shown, finding.person, pg::nullable(finding.grant),
             pg::Instant{finding.first}, pg::Instant{finding.last}, finding.count, keys, values,
             list_of(finding.evidence), finding.suspends, max_evidence})
            .value();
    const auto count = row.get<std::int64_t>(1);
    return {row.get<std::int64_t>(0), count, has_grown(count - finding.count, count)};
}

// Names and texts of the record are shown in terminals. Absent ones are left out.
void plainly(const control_event::Detail& detail, pg::TextArray& keys, pg::TextArray& values) {
    for (const auto& [key, value] : detail) {
        if (!value) continue;
        keys.emplace_back(key);
        values.push_back(value->size() <= core::max_reason && !core::fault_in_text(*value) ? *value
                                                                                           : core::plain(*value));
    }
}

void raise(const alert_rule::Rule& rule, Finding finding, std::optional<core::State> state, const std::string& actor) {
    finding.shown = core::plain(finding.shown);
    pg::TextArray keys;
    pg::TextArray values;
    plainly(finding.detail, keys, values);
    const auto raised = write(rule, finding, keys, values);
    if (!raised.is_told) return;
    control_event::Detail detail{{"alert", std::to_string(raised.id)},
                                 {"rule", rule.name},
                                 {"severity", rule.severity},
                                 {"person", finding.shown}};
    if (state) detail.emplace_back("state", std::string(core::to_string(*state)));
    if (raised.count > 1) detail.emplace_back("count", std::to_string(raised.count));
    for (std::size_t i = 0, k = 0; i < finding.detail.size(); ++i)
        if (finding.detail[i].second) detail.emplace_back(finding.detail[i].first, values[k++]);
    control_event::write("alert raised", finding.grant, actor, detail);
}

std::optional<core::State> state_of(const std::optional<std::int64_t>& grant) {
    if (!grant) return std::nullopt;
    const auto request = request::read(*grant);
    return request ? std::optional(request->state) : std::nullopt;
}

// Nobody hides an alert among many: of those about one person by one rule that name a grant, so many are open; what is
// more is one that names none.
bool has_many(const alert_rule::Rule& rule, const Finding& finding) {
    constexpr std::int64_t max_open = 20;
    return pg::query_row(
               "SELECT count(*) >= $4 AND NOT bool_or(grant_id = $3) FROM jit_access.alert WHERE rule = $1 AND "
               "person_id = $2 AND state <> 'closed' AND grant_id IS NOT NULL",
               {rule.name, finding.person, *finding.grant, max_open})
        ->maybe<bool>(0)
        .value_or(false);
}

}  // namespace

void raise(const Alert& alert, const std::string& actor) {
    const auto rule = alert_rule::find(alert.rule);
    if (!rule.enabled) return;
    const auto now = pg::query_row("SELECT pg_catalog.clock_timestamp()")->get<pg::Instant>(0).us;
    raise(rule,
          {.person = principal::person_of(alert.about),
           .shown = principal::shown(alert.about),
           .grant = alert.grant,
           .first = now,
           .last = now,
           .detail = alert.detail},
          alert.state, actor);
}

void found(const alert_rule::Rule& rule, const Finding& finding) {
    auto alert = finding;
    alert.suspends = rule.suspends && finding.suspends && finding.grant;
    if (finding.grant && !alert.suspends && has_many(rule, finding)) {
        alert.detail.emplace_back("newest_grant", std::to_string(*finding.grant));
        alert.grant.reset();
    }
    raise(rule, std::move(alert), state_of(finding.grant), task::actor);
}

void complete(const alert_rule::Rule& rule, const Finding& finding) {
    const auto was_raised = pg::execute(
        "UPDATE jit_access.alert SET evidence = $3::bigint[] WHERE rule = $1 AND grant_id = $2 AND evidence = '{}'",
        {rule.name, finding.grant.value_or(0), list_of(finding.evidence)});
    if (was_raised == 0) found(rule, finding);
}

namespace {

struct Due {
    std::int64_t alert;
    std::int64_t grant;
    std::string rule;
};

std::vector<Due> due() {
    std::vector<Due> found;
    task::run_or_log("look for grants to suspend", [&] {
        for (const auto& row : pg::query("SELECT id, grant_id, rule FROM jit_access.alert WHERE suspends ORDER BY id"))
            found.push_back({row.get<std::int64_t>(0), row.get<std::int64_t>(1), row.get<std::string>(2)});
    });
    return found;
}

bool is_free(const Due& alert) {
    return pg::query_row("SELECT 1 FROM jit_access.alert WHERE id = $1 FOR UPDATE SKIP LOCKED", {alert.alert})
        .has_value();
}

// False: somebody has the request or the alert just now. Who keeps it is ended.
bool suspend(const Due& alert) {
    if (!is_free(alert)) {
        blocking_session::end_holders_of_alerts();
        return false;
    }
    auto request = request::try_lock(alert.grant);
    if (!request) {
        blocking_session::end_requester(alert.grant);
        return false;
    }
    pg::execute("UPDATE jit_access.alert SET suspends = false WHERE id = $1", {alert.alert});
    if (!core::next(request->state, core::Event::suspend)) return true;
    request::advance(*request, core::Event::suspend, task::actor,
                     "alert " + std::to_string(alert.alert) + ": " + alert.rule);
    commit_actions::finish(static_cast<std::uint64_t>(alert.grant));
    return true;
}

}  // namespace

bool settle() {
    bool all = true;
    for (const auto& alert : due()) {
        bool done = false;
        task::run_or_log("suspend grant " + std::to_string(alert.grant), [&] { done = suspend(alert); });
        all &= done;
    }
    return all;
}

void acknowledge(std::int64_t id, const std::optional<std::string>& comment, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_auditor(me);
    check_alert_comment(comment);
    const auto known = take(id, "acknowledge", me, origin);
    pg::execute(
        "UPDATE jit_access.alert SET state = 'acknowledged', acknowledged_at = pg_catalog.clock_timestamp(), "
        "acknowledged_by = $2, acknowledge_comment = $3 WHERE id = $1",
        {id, me.name, *comment});
    control_event::write("alert acknowledged", known.grant, me.name, detail_of(id, known, comment));
}

void close(std::int64_t id, const std::optional<std::string>& comment, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_auditor(me);
    check_alert_comment(comment);
    const auto known = take(id, "close", me, origin);
    pg::execute(
        "UPDATE jit_access.alert SET state = 'closed', closed_at = pg_catalog.clock_timestamp(), closed_by = $2, "
        "close_comment = $3 WHERE id = $1",
        {id, me.name, *comment});
    control_event::write("alert closed", known.grant, me.name, detail_of(id, known, comment));
}

}  // namespace jit::alert
