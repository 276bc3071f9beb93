// Callbacks for changes of catalogs and for the end of the session.
//
// The server calls them while it accepts invalidations, possibly inside a catalog lookup or without a transaction. A
// callback must not read catalogs, allocate or fail. Each function may be called once per process.
#pragma once

#include <cstdint>

namespace jit::pg {

void on_membership_change(void (*callback)() noexcept);
void on_relation_change(void (*callback)(std::uint32_t relation) noexcept);  // 0 = any relation may have changed
void on_function_change(void (*callback)() noexcept);
void on_session_end(void (*callback)() noexcept);

}  // namespace jit::pg
