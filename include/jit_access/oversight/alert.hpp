// Alerts: findings that an auditor has to examine. There is at most one open alert for each combination of rule, person
// and grant. Further findings increase its count while it is open.
//
// An alert is written in the transaction it is about (raise) or in the one in which the worker has evaluated the record
// (raise_finding). After the commit, the worker announces an alert that is new, or whose count has reached a power of
// ten, by a line in the server log and a notification. Failures are thrown as core::Failure or pg::ServerError.
#pragma once

#include "jit_access/core/lifecycle.hpp"
#include "jit_access/identity/principal.hpp"
#include "jit_access/oversight/alert_rule.hpp"
#include "jit_access/shared/control_event.hpp"

namespace jit::alert {

struct Alert {
    std::string_view rule;  // use core::alert_rule_name
    principal::Person about;
    std::optional<std::int64_t> grant;
    std::optional<core::State> state;  // of the grant
    control_event::Detail detail;
};

// Raises an alert in the caller's transaction, unless the rule is disabled.
void raise(const Alert& alert, const std::string& actor);

// A finding of a rule in the record. Times are those of the records.
struct Finding {
    core::PersonId person_id;
    std::string person;  // name
    std::optional<std::int64_t> grant;
    std::int64_t first = 0;
    std::int64_t last = 0;
    std::int64_t count = 1;
    std::vector<std::int64_t> evidence;  // sequence numbers, ascending
    bool suspends = false;               // the grant may be suspended, if the rule is set to suspend
    control_event::Detail detail;
};

// For the worker. The grant is suspended by suspend_grants() after the commit.
void raise_finding(const alert_rule::Rule& rule, const Finding& finding);
// For the worker: adds the evidence to an alert that was raised by the transaction it is about, or raises the alert if
// there is none.
void add_evidence(const alert_rule::Rule& rule, const Finding& finding);

// For the worker: suspends the grants of alerts that demand it, each in a transaction of its own. Returns false if some
// have to be tried again.
[[nodiscard]] bool suspend_grants();

// For auditors and administrators whom the alert is not about. The comment is stored.
void acknowledge(std::int64_t id, const std::optional<std::string>& comment, const principal::Origin& origin);
void close(std::int64_t id, const std::optional<std::string>& comment, const principal::Origin& origin);

}  // namespace jit::alert
