// Access reviews: campaigns in which named reviewers confirm or withdraw what stands, item by item with its evidence:
// who may ask for a template, approve or break the glass, the templates themselves, and break-glass uses that nobody
// has reviewed. To withdraw takes effect at once and only ever takes away.
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

// By an administrator; answers its id.
std::int64_t start(const ReviewArguments& draft, const principal::Origin& origin);

struct ItemDecision {
    std::optional<std::string> word;
    std::optional<std::string> comment;
};

// By a reviewer whom the item is not about, once.
std::string review(std::int64_t id, std::optional<std::int32_t> item, const ItemDecision& verdict,
                   const principal::Origin& origin);

// Named as a reviewer, himself or through a role that he stands in.
[[nodiscard]] bool may_review(const principal::Person& person, std::int64_t id);

// What was found so far, with the evidence, as comma-separated values.
[[nodiscard]] std::string as_csv(std::int64_t id);

// Puts on the record which are overdue, once a day each. How many.
std::int64_t remind();

}  // namespace jit::access_review
