// Determines whether a function was called by the statement that the client has sent, or by something that runs inside
// it.
//
// The server knows the session user but not the author of a call: a view, function, trigger or scheduled job of another
// user could approve or request in the name of the session user. Functions that give access therefore accept direct
// calls only (docs/adr/013-own-statement.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jit_access/pg/server.hpp"

struct PlannedStmt;

namespace jit::pg {

// Returns the reason, as a sentence, why this call is not direct; nullopt if it is. A call is direct if all of these
// hold, and any construct that is not recognized counts as indirect:
//
// - The statement is a SELECT that the client has sent by itself, by the simple or the extended protocol, so the
//   unnamed portal runs it.
// - The call is a function call in the plan of that statement and has a location in its text. Expressions from the
//   catalogs (views, policies, defaults) have lost their location.
// - The plan depends on no relation and no function except those of the server and of the extension. Functions that
//   were inlined count as dependencies, too.
[[nodiscard]] std::optional<std::string> objection_to_call(FunctionCallInfo info);

// If the statement is a single function call whose arguments are constants or parameters, returns the OID of the
// function; otherwise 0.
[[nodiscard]] std::uint32_t sole_function_called(const PlannedStmt* plan) noexcept;
// Whether the function has this name and belongs to the extension. May throw.
[[nodiscard]] bool is_extension_function(std::uint32_t function, const char* name);

}  // namespace jit::pg
