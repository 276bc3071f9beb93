// Whether a function was called by the very statement that the client has sent, or by something that runs inside it:
// the server knows who has logged in, not who wrote the call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jit_access/pg/server.hpp"

struct PlannedStmt;

namespace jit::pg {

// Why this call is not the client's own, as a sentence; nothing if it is. What is not understood is not his own:
//
// - It is a SELECT sent by itself, by the simple or the extended protocol: the unnamed portal runs it.
// - The call stands in its plan, as a function call and where the client's text has it. What comes out of the catalogs
//   (views, policies, defaults, …) has lost its place in a text.
// - It depends on no relation and no function but the server's and the extension's. A function whose body was put in
//   the place of its call is a dependency, too.
[[nodiscard]] std::optional<std::string> objection_to_call(FunctionCallInfo info);

// The function that a statement calls and that is all of it, with nothing but constants and what is bound; 0 if it is
// anything else.
[[nodiscard]] std::uint32_t sole_function_called(const PlannedStmt* plan) noexcept;
// Whether it is this one of the extension.
[[nodiscard]] bool is_extension_function(std::uint32_t function, const char* name);

}  // namespace jit::pg
