// Deciding: approval by n distinct people who are not the requester, each by a statement of his own; one denial
// decides; a grant can be ended early.
#pragma once

#include "jit_access/request.hpp"

namespace jit::decide {

core::State approve(std::int64_t id, const std::optional<std::string>& comment,
                    const std::optional<core::IntervalParts>& shorter, const people::Origin& origin);
core::State deny(std::int64_t id, const std::optional<std::string>& reason);
core::State resume(std::int64_t id, const std::optional<std::string>& reason, const people::Origin& origin);
core::State revoke(std::int64_t id, const std::optional<std::string>& reason);

}  // namespace jit::decide
