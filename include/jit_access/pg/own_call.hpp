// Whether a function was called by the very statement that the client has sent, or by something that runs inside it:
// the server knows who has logged in, not who wrote the call.
#pragma once

#include <optional>
#include <string>

#include "jit_access/pg/server.hpp"

namespace jit::pg {

// Why this call is not the client's own, as a sentence; nothing if it is. What is not understood is not his own:
//
// - It is a SELECT sent by itself, by the simple or the extended protocol: the unnamed portal runs it.
// - The call stands in its plan, as a function call and where the client's text has it. What comes out of the catalogs
//   (views, policies, defaults, …) has lost its place in a text.
// - It depends on no relation and no function but the server's and the extension's. A function whose body was put in
// the
//   place of its call is a dependency, too.
[[nodiscard]] std::optional<std::string> objection_to_call(FunctionCallInfo info);

}  // namespace jit::pg
