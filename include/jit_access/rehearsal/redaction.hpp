// What a dry run that ran may tell of it. The statements are known to who wrote them, and so are the names in the
// catalogs; everything else may be data, also the name of what was made while it ran.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jit_access/pg/impersonation.hpp"
#include "jit_access/rehearsal/dry_run.hpp"

namespace jit::redaction {

inline constexpr const char* not_shown = "(not shown: it may hold data)";

// What is told of one statement only if it was known before, which is looked up when all has been rolled back.
struct Held {
    std::vector<std::string> names;  // in the message
    std::vector<std::uint32_t> sequences;
};

// The message of an error, with the names in it, or that it is not shown. `expected`: what the statement failed with
// when it was only read.
[[nodiscard]] std::string message(const pg::Fault& fault, const std::string& statement, const std::string& expected,
                                  Held& held);

void settle(std::vector<dry_run::Outcome>& outcomes, const std::vector<Held>& held);

}  // namespace jit::redaction
