// Queries come again and again: what was found out about the last ones is not found out anew.
//
// A query is known if it has the text and the command tag of one before, asks for the same privileges on the same
// relations, depends on the same others, is the same user's, and since then nothing has changed that could make a
// difference: roles, memberships, relations, their names and access lists. An address is no identity: it is used again.
// Never throws, allocates nothing.
#pragma once

#include "jit_access/enforcement/recorder.hpp"

struct PlannedStmt;

namespace jit::statement_cache {

// The statement as it was described; its views are valid until the next keep(). Null: describe it.
[[nodiscard]] const recorder::Statement* find(const PlannedStmt* plan, std::string_view text, const char* tag) noexcept;
// Keeps it, if it is small enough, and says where its encoded form may stay; null: nowhere. `changes`:
// standing_privileges::changes() before it was described.
[[nodiscard]] recorder::Encoded* keep(const PlannedStmt* plan, const recorder::Statement& statement,
                                      std::uint64_t changes) noexcept;

}  // namespace jit::statement_cache
