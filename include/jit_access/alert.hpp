// Alerts: what somebody has to look at. One of a kind, not a thousand: while it is not closed, what is alike is
// counted.
//
// An alert is written in the transaction of what it is about, and told by the worker when that has committed: one line
// in the server log, one notification (notice.hpp).
#pragma once

#include "jit_access/core/lifecycle.hpp"
#include "jit_access/event.hpp"
#include "jit_access/people.hpp"

namespace jit::alert {

enum class Severity : std::uint8_t { low, medium, high };

struct Alert {
    std::string rule;  // by which it was found
    Severity severity = Severity::medium;
    people::Person about;
    std::optional<std::int64_t> grant;
    std::optional<core::State> state;  // of the grant
    event::Detail detail;
};

void raise(const Alert& alert, const std::string& actor);

// By an auditor or administrator who is not whom it is about; why is kept.
void acknowledge(std::int64_t id, const std::optional<std::string>& comment, const people::Origin& origin);
void close(std::int64_t id, const std::optional<std::string>& comment, const people::Origin& origin);

}  // namespace jit::alert
