// Break-glass: a responder of a template has it at once, without an approval, for a short time, and loudly. What he did
// is reviewed afterwards by somebody else: the review is opened with the grant, stays open until an approver of the
// template has closed it, and until then the person gets no other one, on any template and by any login.
#pragma once

#include "jit_access/grants/request.hpp"

namespace jit::break_glass {

struct BreakGlassArguments {
    std::optional<std::string> template_name;
    std::optional<core::IntervalParts> duration;
    std::optional<std::string> reason;
};

std::int64_t ask(const BreakGlassArguments& draft, const principal::Origin& origin);  // the id; it is active

struct Assessment {
    std::optional<std::string> word;  // justified or not_justified
    std::optional<std::string> comment;
};

// Once, when the grant has ended: what was done with it is known then.
std::string review(std::int64_t id, const Assessment& verdict, const principal::Origin& origin);  // the word

}  // namespace jit::break_glass
