// The policy as code: people, windows, templates and rules as one JSON document, written by the server and read back.
//
// What is read is a declaration: a setting that is left out has its default, not what it had before. Nothing is dropped
// because it is not in the document; that is told. A document that has been read makes no difference when it is read
// again. There are no secrets in it.
#pragma once

#include <string>
#include <vector>

#include "jit_access/identity/principal.hpp"

namespace jit::policy_file {

// jsonb, as text.
[[nodiscard]] std::string export_policy();

struct Difference {
    const char* action;  // created, changed, or "not in the policy"
    const char* kind;    // person, window, template or rule
    std::string name;
    pg::TextArray what;  // that has changed
};

enum class Mode { rehearse, apply };

// All of it or nothing; a rehearsal does the same and undoes it. Throws invalid_argument, and whatever the functions
// throw that do the same by hand.
std::vector<Difference> import_policy(const std::string& document, Mode mode, const principal::Origin& origin);

}  // namespace jit::policy_file
