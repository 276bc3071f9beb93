// What nobody may do to the roles and objects that the extension manages, with a grant or without.
#pragma once

#include <cstdint>

struct Node;

namespace jit::guard {

// Before a utility command runs. Throws `guarded` or `live_grants`.
void check_managed(const Node* command);
// A function was created or renamed: its name must not capture the calls of ours. Throws `guarded`.
void check_function_name(std::uint32_t function);
// An object is about to be dropped. Throws `guarded` or `live_grants`.
void check_drop(std::uint32_t object_class, std::uint32_t object);

}  // namespace jit::guard
