// Deciding: approval by n distinct people who are not the requester, each by a statement of his own and about what he
// was shown; one denial decides; a grant can be ended early. What follows from the decisions says core/policy.
#pragma once

#include "jit_access/core/policy.hpp"
#include "jit_access/grants/request.hpp"

namespace jit::decision {

struct Approval {
    std::optional<std::string> comment;
    std::optional<core::IntervalParts> duration;
    std::optional<std::string> digest;  // what the approver has seen, should he want to say so
};

core::State approve(std::int64_t id, const Approval& approval, const principal::Origin& origin);
core::State deny(std::int64_t id, const std::optional<std::string>& reason);
core::State resume(std::int64_t id, const std::optional<std::string>& reason, const principal::Origin& origin);
core::State revoke(std::int64_t id, const std::optional<std::string>& reason);

// What has been allowed is given, now or when its time has come.
core::State activate_or_schedule(request::Request& request, const templates::Template& of, const core::Ruling& ruling,
                  const std::string& by);
// Its time has come, and everything is looked at again. Throws what stands against it.
core::State start_scheduled(request::Request& request, const std::string& by);
// The requester makes use of an approval (template: time_to_use).
core::State activate(std::int64_t id, const principal::Origin& origin);

}  // namespace jit::decision
