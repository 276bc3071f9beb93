// Asking: who may ask for what, for how long; the row that request and grant share for life.
#pragma once

#include "jit_access/core/lifecycle.hpp"
#include "jit_access/policy/template.hpp"

namespace jit::request {

struct Request {
    std::int64_t id = 0;
    std::int64_t template_id = 0;
    std::int32_t template_version = 0;
    pg::RoleId requester;
    std::string requester_name;
    std::optional<pg::TextArray> scope;
    std::int64_t duration = 0;  // microseconds
    std::int64_t requested_duration = 0;     // before an approver shortened it
    std::optional<std::string> reason;
    std::optional<std::string> ticket;
    std::optional<std::string> rule;    // that allowed it without an approval
    std::optional<std::string> digest;  // of what was asked for, see policy.hpp
    std::optional<pg::Instant> use_by;  // its requester makes it active himself, until then
    std::optional<pg::Instant> starts_at;
    std::optional<pg::Instant> requested_start;  // before it was put off until the template's windows open
    core::State state = core::State::pending;
    pg::Instant lapses_at;
    std::optional<pg::Instant> activated_at;
    std::optional<pg::Instant> ends_at;
    std::int64_t extended = 0;
    bool break_glass = false;
};

struct RequestArguments {
    std::optional<std::string> template_name;
    std::optional<core::IntervalParts> duration;
    std::optional<std::string> reason;
    std::optional<std::string> ticket;
    std::optional<pg::TextArray> scope;
    std::optional<pg::Instant> starts_at;
};

std::int64_t create(const RequestArguments& draft, const principal::Origin& origin);
core::State cancel(std::int64_t id, const std::optional<std::string>& reason);
pg::Instant extend(std::int64_t id, const std::optional<core::IntervalParts>& by,
                   const std::optional<std::string>& reason, const principal::Origin& origin);

// The row as it is. Nothing when there is none.
[[nodiscard]] std::optional<Request> read(std::int64_t id);
// The row, locked until the transaction ends. Throws unknown_request.
[[nodiscard]] Request lock(std::int64_t id);
// The same without waiting: nothing when somebody else has it just now, or it does not exist.
[[nodiscard]] std::optional<Request> try_lock(std::int64_t id);
// The same to end a grant: its holder, who keeps the row locked by a transaction that he leaves open, is not waited for
// but ended.
[[nodiscard]] Request lock_against_holder(std::int64_t id);

// Moves the state along the life cycle; throws wrong_state where that is not allowed. `closed` goes with terminal
// states.
core::State advance(Request& request, core::Event event, const std::string& by,
                    const std::optional<std::string>& reason);

// What does not depend on the policy: whether the person could use a grant at all, and has not too many requests open.
void check_requester(const principal::Person& me, const templates::Template& of);
// Free text somebody typed; throws invalid_argument.
void check_text(const std::optional<std::string>& text, const char* what);

}  // namespace jit::request
