// Describes a utility command for the record: its command tag, its part of the text, the objects it touches and what it
// does with each of them. docs/record.md defines this for every kind of statement.
//
// Called before the command runs, in a transaction; may throw. The result is valid until the next statement is
// described.
#pragma once

#include "jit_access/enforcement/recorder.hpp"

struct ParamListInfoData;
struct PlannedStmt;

namespace jit::describe {

[[nodiscard]] recorder::Statement command(const PlannedStmt* command, const char* source,
                                          ParamListInfoData* parameters = nullptr);
// Describes a function that is called without a statement, for example by the fast-path message. All such calls have
// the same key.
[[nodiscard]] recorder::Statement function_call(std::uint32_t function);
[[nodiscard]] const void* function_call_key() noexcept;

}  // namespace jit::describe
