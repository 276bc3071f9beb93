// The closure of a template's role: everything the role reaches through its memberships. The functions check that a
// grant may give all of it.
//
// sql/06_reach.sql lists what a template may give; everything else is refused, unless PUBLIC has it. Some of it may be
// given only by a template that a superuser has defined (Template::defined_by_superuser).
//
// The closure is checked when a template is defined, when its privileges change, and again at every activation, because
// roles change in between. The part whose cost grows with the number of tables reruns only if a command since the last
// check could have changed its result; see template_closure.cpp.
#pragma once

#include "jit_access/policy/template.hpp"

namespace jit::templates {

// Both throw privilege_refused when the closure of the template's role holds a privilege that the template may not
// give. They need a transaction. check_definition() always checks everything, including objects that PUBLIC may use and
// that the role reaches only by USAGE on their schema. Objects of this kind that are created later are the
// responsibility of their creators.
void check_definition(const Template& tmpl);
void check_closure(const Template& tmpl);

// Returns the privileges of this template that only a superuser may put into a template. They are shown to the
// approvers. Needs a transaction.
[[nodiscard]] pg::TextArray superuser_only(const Template& tmpl);

// Invalidates all cached results, in every backend. transaction.cpp calls it when a transaction that may have widened a
// closure commits.
void forget_closures() noexcept;

}  // namespace jit::templates
