// Reads a policy document and makes the policy of this server match it; see policy_file.hpp.
#pragma once

#include <string>
#include <vector>

#include "jit_access/identity/principal.hpp"

namespace jit::policy_file {

struct Difference {
    const char* action;  // created, changed, or "not in the policy"
    const char* kind;    // person, window, template or rule
    std::string name;
    pg::TextArray settings;  // the settings of a template that changed
};

enum class Mode { rehearse, apply };

// Applies the whole document or nothing, in the current transaction. A rehearsal does the same in a subtransaction that
// is rolled back. Throws invalid_argument, and the errors of the SQL functions that make the same changes.
std::vector<Difference> import_policy(const std::string& document, Mode mode, const principal::Origin& origin);

}  // namespace jit::policy_file
