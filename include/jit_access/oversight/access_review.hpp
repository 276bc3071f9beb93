// Access reviews: campaigns in which named reviewers confirm or withdraw standing access, item by item, with evidence
// of its use. Items are the requesters, approvers and responders of templates, the templates themselves, and
// break-glass uses without a review. A withdrawal takes effect at once. A review never gives access.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jit_access/identity/principal.hpp"

namespace jit::access_review {

struct ReviewArguments {
    std::optional<std::string> scope;
    std::optional<pg::TextArray> reviewers;
    std::optional<pg::Instant> due;
    std::optional<pg::TextArray> templates;  // nothing: all
};

// For administrators. Returns the id of the review. Throws core::Failure if there is nothing to review.
std::int64_t start(const ReviewArguments& arguments, const principal::Origin& origin);

struct ItemDecision {
    std::optional<std::string> verdict;  // confirm or withdraw
    std::optional<std::string> comment;
};

// Called by a reviewer whom the item does not concern. An item is reviewed once. Returns the verdict.
std::string review(std::int64_t id, std::optional<std::int32_t> item, const ItemDecision& decision,
                   const principal::Origin& origin);

// Whether the person is named as a reviewer, or is a member of a role that is named.
[[nodiscard]] bool may_review(const principal::Person& person, std::int64_t id);

// The items with their evidence and verdicts, for the reviewers and for auditors.
[[nodiscard]] std::string as_csv(std::int64_t id);

// Called by the job. Writes the event `review overdue` for each overdue review, at most once a day. Returns the number
// of events that this call has written.
std::int64_t remind_overdue();

}  // namespace jit::access_review
