// What the role of a template reaches through its memberships, and whether a grant may give that.
#pragma once

#include "jit_access/policy/template.hpp"

namespace jit::templates {

// Throws privilege_refused when the closure of the template's role holds what no grant may give.
void check_closure(const Template& of);
// A closure may reach further than when it was found good (commit_actions::change_closures says when).
void forget_closures() noexcept;

}  // namespace jit::templates
