// Break-glass: a responder of a template gets access at once, without an approval, for a short time. An alert is
// raised, and another person reviews the access afterwards.
//
// The review is opened together with the grant. Until an approver of the template has closed it, the person cannot make
// another break-glass request, for any template or with any login.
#pragma once

#include "jit_access/grants/request.hpp"

namespace jit::break_glass {

struct BreakGlassArguments {
    std::optional<std::string> template_name;
    std::optional<core::IntervalParts> duration;
    std::optional<std::string> reason;
};

// Creates a request that is active at once, and returns its id. Throws core::Failure if any rule of the template other
// than the quorum forbids it.
std::int64_t create(const BreakGlassArguments& arguments, const principal::Origin& origin);

struct Assessment {
    std::optional<std::string> verdict;  // justified or not_justified
    std::optional<std::string> comment;
};

// Called by an approver of the template who is not the responder. A grant is reviewed once, after its end, because its
// use is known only then. Returns the verdict.
std::string review(std::int64_t id, const Assessment& assessment, const principal::Origin& origin);
// The same for an item of an access review. The reviewers know the id from the review, so it is not checked whether
// they may see the request.
std::string review_item(std::int64_t id, const Assessment& assessment, const principal::Origin& origin);

}  // namespace jit::break_glass
