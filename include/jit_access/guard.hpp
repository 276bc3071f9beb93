// What a session that uses a grant may not do, and what nobody may do to the roles and objects the extension manages;
// decided on parse trees and object access, not on text.
#pragma once

#include <cstdint>

struct Node;

namespace jit::guard {

// Before a utility command; they throw `guarded` or `live_grants`.
void check_under_grant(const Node* command);
void check_managed(const Node* command);

// Whether every grant the session uses is of a template that allows code.
[[nodiscard]] bool code_allowed();
// An object (or column of a relation) was made or changed in a session that is not plain; throws.
void check_made(std::uint32_t object_class, std::uint32_t object, int column);

// An object of this class was created or renamed, or is about to be dropped; throws.
void check_function_name(std::uint32_t function);
// A function is about to run in a session that is not plain; throws.
void check_call(std::uint32_t function);
void check_drop(std::uint32_t object_class, std::uint32_t object);

}  // namespace jit::guard
