// Requests: the row that a request and its grant share for their whole life, and the actions of the requester on it.
//
// Every change of a request happens under the lock on its row, taken by lock() or one of its variants and held until
// the transaction ends. The functions that change state are in decision.hpp, expire.hpp and here; all of them change it
// by advance(). Everything needs a transaction. Durations are microseconds.
#pragma once

#include "jit_access/core/lifecycle.hpp"
#include "jit_access/policy/template.hpp"

namespace jit::request {

// A row of jit_access.request.
struct Request {
    std::int64_t id = 0;
    std::int64_t template_id = 0;
    std::int32_t template_version = 0;
    pg::RoleId requester;
    std::string requester_name;
    std::optional<pg::TextArray> scope;
    std::int64_t duration = 0;
    std::int64_t requested_duration = 0;  // the duration before an approver shortened it
    std::optional<std::string> reason;
    std::optional<std::string> ticket;
    std::optional<std::string> rule;    // the rule that allowed it without an approval
    std::optional<std::string> digest;  // see request_digest.hpp
    std::optional<pg::Instant> use_by;  // the requester must activate it by then
    std::optional<pg::Instant> starts_at;
    std::optional<pg::Instant> requested_start;  // before it was moved to the opening of the template's windows
    core::State state = core::State::pending;
    pg::Instant lapses_at;
    std::optional<pg::Instant> activated_at;
    std::optional<pg::Instant> ends_at;
    std::int64_t extended = 0;  // total time added by the holder
    bool break_glass = false;
};

// The arguments of jit_request.
struct RequestArguments {
    std::optional<std::string> template_name;
    std::optional<core::IntervalParts> duration;
    std::optional<std::string> reason;
    std::optional<std::string> ticket;
    std::optional<pg::TextArray> scope;
    std::optional<pg::Instant> starts_at;
};

// Called by a user through SQL. They throw invalid_argument, not_permitted, wrong_state, and objections of the policy.
// create() activates or schedules the grant at once if a rule allows it; returns the id.
std::int64_t create(const RequestArguments& arguments, const principal::Origin& origin);
core::State cancel(std::int64_t id, const std::optional<std::string>& reason);
// Called by the holder or an approver. Returns the new deadline.
pg::Instant extend(std::int64_t id, const std::optional<core::IntervalParts>& duration,
                   const std::optional<std::string>& reason, const principal::Origin& origin);

// Reads the row without a lock. Returns nothing if it does not exist.
[[nodiscard]] std::optional<Request> read(std::int64_t id);
// Throws unknown_request unless the request exists and the person may know of it: as its requester (by any login), as
// an approver of its template, or as an auditor. A request that does not exist and one that the person may not see
// raise the same error, so that ids cannot be probed. Every function that takes an id from a user calls this before it
// does anything else with the request, and before it waits for a lock.
void require_visible(const principal::Person& person, std::int64_t id);
// Locks the row until the transaction ends. Throws unknown_request.
[[nodiscard]] Request lock(std::int64_t id);
[[nodiscard]] Request lock_visible(const principal::Person& person, std::int64_t id);
// Like lock(), but does not wait: returns nothing if another transaction has locked the row, or it does not exist.
[[nodiscard]] std::optional<Request> try_lock(std::int64_t id);
// Like try_lock(), but repeated for up to `patience` milliseconds.
[[nodiscard]] std::optional<Request> lock_within(std::int64_t id, int patience);
// Like lock(), for a caller that ends the grant. An open transaction must not delay the end, so a session that keeps
// the row locked is terminated after 200 ms, see blocking_session::end_holders_of_request().
[[nodiscard]] Request lock_to_end(std::int64_t id);

// Changes the state as the life cycle allows, and writes the control event (shared/request_state.hpp). The caller holds
// the lock on the row. Throws wrong_state when the event is not allowed. `actor` is for the record.
core::State advance(Request& request, core::Event event, const std::string& actor,
                    const std::optional<std::string>& reason);

// Checks that do not come from the policy: that the requester can use a grant at all and does not have too many open
// requests.
void check_requester(const principal::Person& requester, const templates::Template& tmpl);
// Checks free text that a person typed; throws invalid_argument, naming the argument.
void check_text(const std::optional<std::string>& text, const char* argument);

}  // namespace jit::request
