// Writes the policy as a document; see policy_file.hpp.
#pragma once

#include <string>

namespace jit::policy_file {

// Returns jsonb, as text. Throws not_permitted unless the caller is an auditor or administrator. Needs a transaction.
[[nodiscard]] std::string export_policy();

}  // namespace jit::policy_file
