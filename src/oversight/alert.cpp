#include "jit_access/oversight/alert.hpp"

#include <algorithm>

#include "jit_access/core/detection.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/enforcement/denied_attempt.hpp"
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

struct LockedAlert {
    std::string rule;
    core::PersonId person_id;
    std::optional<std::int64_t> grant;
    std::optional<Person> holder;  // of the grant
    std::string state;
};

LockedAlert lock(std::int64_t id) {
    const auto row = pg::query_row(R"sql(
        SELECT a.rule, a.person_id, a.grant_id, r.requester, r.requester_name, a.state
        FROM jit_access.alert a
        LEFT JOIN jit_access.request r ON r.id = a.grant_id
        WHERE a.id = $1
        FOR UPDATE OF a)sql",
                                   {id});
    if (!row)
        throw Failure(Code::invalid_argument, "alert " + std::to_string(id) + " does not exist", {},
                      "See jit_access.alerts.");
    LockedAlert alert{row->get<std::string>(0), row->get<std::string>(1), row->maybe<std::int64_t>(2), std::nullopt,
                      row->get<std::string>(5)};
    if (alert.grant) alert.holder = Person{row->get<pg::RoleId>(3), row->get<std::string>(4)};
    return alert;
}

// The stored person id is the one at the time of the alert. If the holder's login belongs to another person now, that
// person may not close the alert either.
bool is_about(const LockedAlert& alert, const core::PersonId& person) {
    return alert.person_id == person || (alert.holder && principal::person_of(*alert.holder) == person);
}

void check_comment(const std::optional<std::string>& comment) {
    request::check_text(comment, "comment");
    if (!comment) throw Failure(Code::invalid_argument, "invalid comment", "It is NULL.", "Give a reason.");
}

// Locks an alert that the caller may acknowledge or close. `verb` is one of these two.
LockedAlert lock_for(const char* verb, std::int64_t id, const Person& caller, const principal::Origin& origin) {
    auto alert = lock(id);
    const std::string message = std::string("cannot ") + verb + " alert " + std::to_string(id);
    if (is_about(alert, principal::person_of(caller)))
        denied_attempt::record_and_throw(
            {Code::own_request, message, "It is about you.", "Another auditor has to do this."});
    if (alert.state == "closed" || alert.state == std::string(verb) + "d")
        throw Failure(Code::wrong_state, message, "It is " + alert.state + ".", "See jit_access.alerts.");
    principal::require_own_statement(caller, origin, "alert " + std::to_string(id) + " is dealt with");
    return alert;
}

control_event::Detail detail_of(std::int64_t id, const LockedAlert& alert, const std::optional<std::string>& comment) {
    return {{"alert", std::to_string(id)}, {"rule", alert.rule}, {"comment", comment}};
}

// ---- raising --------------------------------------------------------------------------------------------------------

struct Raised {
    std::int64_t id;
    std::int64_t count;
    bool is_announced;  // it is new, or its count has passed a power of ten
};

// Returns true if a power of ten lies in (before, now].
bool passes_power_of_ten(std::int64_t before, std::int64_t now) {
    std::int64_t power = 1;
    while (power <= before) power *= 10;
    return now >= power;
}

constexpr std::int64_t max_evidence = 20;

// The newest sequence numbers, as an array literal.
std::string evidence_array(const std::vector<std::int64_t>& evidence) {
    std::string list;
    const auto first = std::max<std::int64_t>(0, std::ssize(evidence) - max_evidence);
    for (auto i = static_cast<std::size_t>(first); i < evidence.size(); ++i)
        list += (list.empty() ? "" : ",") + std::to_string(evidence[i]);
    return "{" + list + "}";
}

// A partial unique index allows one alert that is not closed for each rule, person and grant.
constexpr const char* upsert_sql = R"sql(
    INSERT INTO jit_access.alert AS a
        (rule, severity, person, person_id, grant_id, first_seen, last_seen, count, detail, evidence, suspends)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, pg_catalog.jsonb_object($9, $10), $11::bigint[], $12)
    ON CONFLICT (rule, person_id, grant_id) WHERE state <> 'closed' DO UPDATE
    SET count = a.count + excluded.count,
        first_seen = least(a.first_seen, excluded.first_seen),
        last_seen = greatest(a.last_seen, excluded.last_seen),
        detail = excluded.detail,
        suspends = a.suspends OR excluded.suspends,
        evidence = ARRAY(
            SELECT e
            FROM (SELECT DISTINCT e
                  FROM pg_catalog.unnest(a.evidence || excluded.evidence) e
                  ORDER BY e DESC
                  LIMIT $13) n
            ORDER BY e)
    RETURNING id, count)sql";

Raised upsert(const alert_rule::Rule& rule, const Finding& finding, const pg::TextArray& keys,
              const pg::TextArray& values) {
    const auto row = pg::query_row(upsert_sql, {rule.name, rule.severity, finding.person, finding.person_id,
                                                pg::nullable(finding.grant), pg::Instant{finding.first},
                                                pg::Instant{finding.last}, finding.count, keys, values,
                                                evidence_array(finding.evidence), finding.suspends, max_evidence})
                         .value();
    const auto count = row.get<std::int64_t>(1);
    return {row.get<std::int64_t>(0), count, passes_power_of_ten(count - finding.count, count)};
}

// Names and texts of the record are made printable, because alerts are shown in terminals. Absent values are left out.
void to_arrays(const control_event::Detail& detail, pg::TextArray& keys, pg::TextArray& values) {
    for (const auto& [key, value] : detail) {
        if (!value) continue;
        keys.emplace_back(key);
        values.push_back(value->size() <= core::max_reason && !core::fault_in_text(*value) ? *value
                                                                                           : core::printable(*value));
    }
}

void raise(const alert_rule::Rule& rule, Finding finding, std::optional<core::State> state, const std::string& actor) {
    finding.person = core::printable(finding.person);
    pg::TextArray keys;
    pg::TextArray values;
    to_arrays(finding.detail, keys, values);
    const auto raised = upsert(rule, finding, keys, values);
    if (!raised.is_announced) return;
    control_event::Detail detail{{"alert", std::to_string(raised.id)},
                                 {"rule", rule.name},
                                 {"severity", rule.severity},
                                 {"person", finding.person}};
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

// Limits the number of open alerts about grants for each rule and person, so that a person cannot hide one alert among
// many. Findings beyond the limit are counted in one alert without a grant.
bool has_too_many(const alert_rule::Rule& rule, const Finding& finding) {
    constexpr std::int64_t max_open = 20;
    return pg::query_row(R"sql(
        SELECT count(*) >= $4 AND NOT bool_or(grant_id = $3)
        FROM jit_access.alert
        WHERE rule = $1 AND person_id = $2 AND state <> 'closed' AND grant_id IS NOT NULL)sql",
                         {rule.name, finding.person_id, *finding.grant, max_open})
        ->maybe<bool>(0)
        .value_or(false);
}

}  // namespace

void raise(const Alert& alert, const std::string& actor) {
    const auto rule = alert_rule::find(alert.rule);
    if (!rule.enabled) return;
    const auto now = pg::query_row("SELECT pg_catalog.clock_timestamp()")->get<pg::Instant>(0).us;
    raise(rule,
          {.person_id = principal::person_of(alert.about),
           .person = principal::display_name(alert.about),
           .grant = alert.grant,
           .first = now,
           .last = now,
           .detail = alert.detail},
          alert.state, actor);
}

void raise_finding(const alert_rule::Rule& rule, const Finding& finding) {
    auto alert = finding;
    alert.suspends = rule.suspends && finding.suspends && finding.grant;
    if (finding.grant && !alert.suspends && has_too_many(rule, finding)) {
        alert.detail.emplace_back("newest_grant", std::to_string(*finding.grant));
        alert.grant.reset();
    }
    raise(rule, std::move(alert), state_of(finding.grant), task::actor);
}

void add_evidence(const alert_rule::Rule& rule, const Finding& finding) {
    const auto completed = pg::execute(
        R"sql(
        UPDATE jit_access.alert SET evidence = $3::bigint[]
        WHERE rule = $1 AND grant_id = $2 AND evidence = '{}')sql",
        {rule.name, finding.grant.value_or(0), evidence_array(finding.evidence)});
    if (completed == 0) raise_finding(rule, finding);
}

// ---- suspending -----------------------------------------------------------------------------------------------------

namespace {

struct DueSuspension {
    std::int64_t alert;
    std::int64_t grant;
    std::string rule;
};

std::vector<DueSuspension> due_suspensions() {
    std::vector<DueSuspension> due;
    task::run_or_log("look for grants to suspend", [&] {
        for (const auto& row : pg::query("SELECT id, grant_id, rule FROM jit_access.alert WHERE suspends ORDER BY id"))
            due.push_back({row.get<std::int64_t>(0), row.get<std::int64_t>(1), row.get<std::string>(2)});
    });
    return due;
}

bool try_lock_alert(std::int64_t id) {
    return pg::query_row("SELECT 1 FROM jit_access.alert WHERE id = $1 FOR UPDATE SKIP LOCKED", {id}).has_value();
}

// Returns false if another session holds the lock on the alert or the request. That session is terminated, because the
// holder of the grant could otherwise delay the suspension by locking the row.
bool suspend(const DueSuspension& due) {
    if (!try_lock_alert(due.alert)) {
        blocking_session::end_holders_of_alerts();
        return false;
    }
    auto request = request::try_lock(due.grant);
    if (!request) {
        blocking_session::end_holders_of_request(due.grant);
        return false;
    }
    pg::execute("UPDATE jit_access.alert SET suspends = false WHERE id = $1", {due.alert});
    if (!core::next(request->state, core::Event::suspend)) return true;
    request::advance(*request, core::Event::suspend, task::actor,
                     "alert " + std::to_string(due.alert) + ": " + due.rule);
    commit_actions::finish(static_cast<std::uint64_t>(due.grant));
    return true;
}

}  // namespace

bool suspend_grants() {
    bool all_done = true;
    for (const auto& due : due_suspensions()) {
        bool is_done = false;
        task::run_or_log("suspend grant " + std::to_string(due.grant), [&] { is_done = suspend(due); });
        all_done &= is_done;
    }
    return all_done;
}

// ---- dealing with alerts --------------------------------------------------------------------------------------------

void acknowledge(std::int64_t id, const std::optional<std::string>& comment, const principal::Origin& origin) {
    const auto caller = principal::caller();
    principal::require_auditor(caller);
    check_comment(comment);
    const auto alert = lock_for("acknowledge", id, caller, origin);
    pg::execute(
        R"sql(
        UPDATE jit_access.alert
        SET state = 'acknowledged', acknowledged_at = pg_catalog.clock_timestamp(), acknowledged_by = $2,
            acknowledge_comment = $3
        WHERE id = $1)sql",
        {id, caller.name, *comment});
    control_event::write("alert acknowledged", alert.grant, caller.name, detail_of(id, alert, comment));
}

void close(std::int64_t id, const std::optional<std::string>& comment, const principal::Origin& origin) {
    const auto caller = principal::caller();
    principal::require_auditor(caller);
    check_comment(comment);
    const auto alert = lock_for("close", id, caller, origin);
    pg::execute(
        R"sql(
        UPDATE jit_access.alert
        SET state = 'closed', closed_at = pg_catalog.clock_timestamp(), closed_by = $2, close_comment = $3
        WHERE id = $1)sql",
        {id, caller.name, *comment});
    control_event::write("alert closed", alert.grant, caller.name, detail_of(id, alert, comment));
}

}  // namespace jit::alert
