// What a statement is, for the record: its command tag, its slice of the text, the objects it touches and what it does
// with each of them. docs/record.md says what that is for every kind of statement.
//
// Called before the statement runs, in a transaction; what a call answers is valid until the next one. Names are looked
// up without locks and without regard to privileges: whether an object is there, and whether one may reach it, is for
// the statement itself to say. Queries allocate nothing once the names of their relations have been seen.
#pragma once

#include "jit_access/enforcement/recorder.hpp"

struct ParamListInfoData;
struct PlannedStmt;
struct QueryDesc;

namespace jit::describe {

[[nodiscard]] recorder::Statement query(const QueryDesc* query);
[[nodiscard]] recorder::Statement command(const PlannedStmt* command, const char* source,
                                          ParamListInfoData* parameters = nullptr);
// A function that is called without a statement.
[[nodiscard]] recorder::Statement function(std::uint32_t function);
[[nodiscard]] const void* key_of_calls() noexcept;

}  // namespace jit::describe
