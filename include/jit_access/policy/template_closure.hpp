// The closure of a template's role: everything the role reaches through its memberships. The functions check that a
// grant may give all of it.
//
// The closure is checked when a template is defined, when its privileges change, and again at every activation, because
// roles change in between. The part whose cost grows with the number of tables reruns only if a command since the last
// check could have changed its result; see template_closure.cpp.
#pragma once

#include "jit_access/policy/template.hpp"

namespace jit::templates {

// Throws privilege_refused when the closure of the template's role holds a privilege that no grant may give. Needs a
// transaction.
void check_closure(const Template& tmpl);
// Invalidates all cached results, in every backend. transaction.cpp calls it when a transaction that may have widened a
// closure commits.
void forget_closures() noexcept;

}  // namespace jit::templates
