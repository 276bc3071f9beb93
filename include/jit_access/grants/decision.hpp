// Decisions: approvals by distinct people other than the requester, each for the request that the approver was shown. A
// single denial denies the request. A grant can also be ended early. core/policy decides whether the approvals suffice.
//
// The functions with an id are called by a user through SQL. They lock the row of the request, then the row of its
// template, and hold both until the transaction ends. They throw unknown_request, not_permitted, own_request or
// wrong_state, or an objection of the policy. The functions with an argument `origin` give access, so the client of the
// user must have sent the statement that calls them.
#pragma once

#include "jit_access/core/policy.hpp"
#include "jit_access/grants/request.hpp"

namespace jit::decision {

struct Approval {
    std::optional<std::string> comment;
    std::optional<core::IntervalParts> duration;  // shorter than what was asked for
    std::optional<std::string> digest;            // of the request that the approver has seen; must match
};

core::State approve(std::int64_t id, const Approval& approval, const principal::Origin& origin);
core::State deny(std::int64_t id, const std::optional<std::string>& reason);
// Lifts a suspension.
core::State resume(std::int64_t id, const std::optional<std::string>& reason, const principal::Origin& origin);
// Called by the holder, an approver of the template, or an administrator.
core::State revoke(std::int64_t id, const std::optional<std::string>& reason);
// Called by the requester to use an approval, if the template has time_to_use or demands a second factor at activation.
core::State activate(std::int64_t id, const principal::Origin& origin);

// Carries out a ruling that allows the request: activates the grant, or schedules it if its start is later or its
// requester has to activate it. The caller holds both locks. `actor` is for the record.
core::State activate_or_schedule(request::Request& request, const templates::Template& tmpl, const core::Ruling& ruling,
                                 const std::string& actor);
// Activates a scheduled grant that is due, after checking everything again. The caller holds the lock on the request's
// row.
core::State start_scheduled(request::Request& request, const std::string& actor);

}  // namespace jit::decision
