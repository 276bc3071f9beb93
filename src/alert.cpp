#include "jit_access/alert.hpp"

#include <array>

#include "jit_access/core/failure.hpp"
#include "jit_access/request.hpp"

namespace jit::alert {

using core::Code;
using core::Failure;
using people::Person;

namespace {

constexpr std::array<const char*, 3> severity_names{"low", "medium", "high"};

std::string name_of(Severity severity) { return severity_names.at(static_cast<std::size_t>(severity)); }

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
    return known.about == person || (known.holder && people::person_of(*known.holder) == person);
}

void check_alert_comment(const std::optional<std::string>& comment) {
    request::check_text(comment, "comment");
    if (!comment) throw Failure(Code::invalid_argument, "invalid comment", "It is NULL.", "Say why.");
}

// Whoever deals with an alert is an auditor and not whom it is about, and does it himself.
Known take(std::int64_t id, const char* verb, const Person& me, const people::Origin& origin) {
    const auto known = lock(id);
    const std::string what = std::string("cannot ") + verb + " alert " + std::to_string(id);
    if (is_about(known, people::person_of(me)))
        throw Failure(Code::own_request, what, "It is about you.", "Another auditor has to do it.");
    if (known.state == "closed" || known.state == std::string(verb) + "d")
        throw Failure(Code::wrong_state, what, "It is " + known.state + ".", "Look at jit_access.alerts.");
    people::require_own_statement(me, origin, "alert " + std::to_string(id) + " is dealt with");
    return known;
}

event::Detail detail_of(std::int64_t id, const Known& known, const std::optional<std::string>& comment) {
    return {{"alert", std::to_string(id)}, {"rule", known.rule}, {"comment", comment}};
}

}  // namespace

void raise(const Alert& alert, const std::string& actor) {
    const auto person = people::shown(alert.about);
    pg::TextArray keys;
    pg::TextArray values;
    for (const auto& [key, value] : alert.detail) {
        if (!value) continue;
        keys.emplace_back(key);
        values.push_back(*value);
    }
    const auto row = pg::query_row(
        "INSERT INTO jit_access.alert AS a (rule, severity, person, person_id, grant_id, first_seen, last_seen, "
        "detail) "
        "VALUES ($1, $2, $3, $4, $5, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp(), "
        "pg_catalog.jsonb_object($6, $7)) ON CONFLICT (rule, person_id, grant_id) WHERE state <> 'closed' DO UPDATE "
        "SET "
        "count = a.count + 1, last_seen = excluded.last_seen, detail = excluded.detail RETURNING id",
        {alert.rule, name_of(alert.severity), person, people::person_of(alert.about), pg::nullable(alert.grant), keys,
         values});
    event::Detail detail{{"alert", std::to_string(row.value().get<std::int64_t>(0))},
                         {"rule", alert.rule},
                         {"severity", name_of(alert.severity)},
                         {"person", person}};
    if (alert.state) detail.emplace_back("state", std::string(core::to_string(*alert.state)));
    detail.insert(detail.end(), alert.detail.begin(), alert.detail.end());
    event::note("alert raised", alert.grant, actor, detail);
}

void acknowledge(std::int64_t id, const std::optional<std::string>& comment, const people::Origin& origin) {
    const auto me = people::asking();
    people::require_auditor(me);
    check_alert_comment(comment);
    const auto known = take(id, "acknowledge", me, origin);
    pg::execute(
        "UPDATE jit_access.alert SET state = 'acknowledged', acknowledged_at = pg_catalog.clock_timestamp(), "
        "acknowledged_by = $2, acknowledge_comment = $3 WHERE id = $1",
        {id, me.name, *comment});
    event::note("alert acknowledged", known.grant, me.name, detail_of(id, known, comment));
}

void close(std::int64_t id, const std::optional<std::string>& comment, const people::Origin& origin) {
    const auto me = people::asking();
    people::require_auditor(me);
    check_alert_comment(comment);
    const auto known = take(id, "close", me, origin);
    pg::execute(
        "UPDATE jit_access.alert SET state = 'closed', closed_at = pg_catalog.clock_timestamp(), closed_by = $2, "
        "close_comment = $3 WHERE id = $1",
        {id, me.name, *comment});
    event::note("alert closed", known.grant, me.name, detail_of(id, known, comment));
}

}  // namespace jit::alert
