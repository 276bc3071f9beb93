// Refuses changes to the roles and objects that the extension manages, in every session, with or without a grant.
//
// Called in a transaction. The checks throw `guarded`, or `live_grants` if the change is possible once all grants have
// ended.
#pragma once

#include <cstdint>

struct Node;

namespace jit::guard {

// Called before a utility command runs. A command that may widen the closure of a template also queues the invalidation
// of the cached closures (commit_actions::change_closures).
void check_managed_roles(const Node* command);
// Called before the extension or a database is dropped.
void check_drop(std::uint32_t object_class, std::uint32_t object);

}  // namespace jit::guard
