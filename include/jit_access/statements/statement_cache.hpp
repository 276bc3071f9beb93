// Cache of descriptions of queries, so that a repeated query is neither described nor encoded again.
//
// An entry is used if text, command tag, user and session user are equal, the query checks the same privileges on the
// same relations, its plan depends on the same relations, and nothing relevant has changed since then: roles,
// memberships, relations, their names and access lists. The address of a plan is not compared, because addresses are
// reused (docs/adr/022-known-queries.md).
//
// Never throws and allocates nothing: there are 32 entries of fixed size, and the length of its text determines the
// entry of a query.
#pragma once

#include "jit_access/enforcement/recorder.hpp"

struct PlannedStmt;

namespace jit::statement_cache {

// Returns the description of this query, or null if it is not cached. Its views are valid until the next store().
[[nodiscard]] const recorder::Statement* find(const PlannedStmt* plan, std::string_view text, const char* tag) noexcept;
// Stores a description if it is small enough, and returns where its encoded form may be cached. Returns null if it is
// too large. `generation`: standing_privileges::generation() from before the query was described.
[[nodiscard]] recorder::Encoded* store(const PlannedStmt* plan, const recorder::Statement& statement,
                                       std::uint64_t generation) noexcept;

}  // namespace jit::statement_cache
