// Alerts: what somebody has to look at. One of a kind, not a thousand: while it is not closed, what is alike is
// counted.
//
// An alert is written in the transaction of what it is about, or in that in which the worker has found it in the record
// (detection.hpp), and told by the worker when that has committed: one line in the server log, one notification
// (notification.hpp). It is told when it is new, and when it has been seen ten times as often.
#pragma once

#include "jit_access/core/lifecycle.hpp"
#include "jit_access/identity/principal.hpp"
#include "jit_access/oversight/alert_rule.hpp"
#include "jit_access/shared/control_event.hpp"

namespace jit::alert {

struct Alert {
    std::string rule;  // by which it was found
    principal::Person about;
    std::optional<std::int64_t> grant;
    std::optional<core::State> state;  // of the grant
    control_event::Detail detail;
};

// Nothing, where the rule is switched off.
void raise(const Alert& alert, const std::string& actor);

// What a rule has found in the record.
struct Finding {
    core::PersonId person;
    std::string shown;  // the person's name
    std::optional<std::int64_t> grant;
    std::int64_t first = 0;  // when, by the record
    std::int64_t last = 0;
    std::int64_t count = 1;
    std::vector<std::int64_t> evidence;  // in order
    bool suspends = false;
    control_event::Detail detail;
};

// By the worker. The grant is suspended by settle(), when this has committed.
void found(const alert_rule::Rule& rule, const Finding& finding);
// An alert that was raised at once gets its evidence; one that was not is raised.
void complete(const alert_rule::Rule& rule, const Finding& finding);

// In transactions of the worker's own: suspends the grants of alerts that say so. False: some have to be tried again.
[[nodiscard]] bool settle();

// By an auditor or administrator who is not whom it is about; why is kept.
void acknowledge(std::int64_t id, const std::optional<std::string>& comment, const principal::Origin& origin);
void close(std::int64_t id, const std::optional<std::string>& comment, const principal::Origin& origin);

}  // namespace jit::alert
