// Writes the policy as a document; see policy_file.hpp.
#pragma once

#include <string>

namespace jit::policy_file {

// jsonb, as text. For auditors and administrators: throws not_permitted. Needs a transaction.
[[nodiscard]] std::string export_policy();

}  // namespace jit::policy_file
