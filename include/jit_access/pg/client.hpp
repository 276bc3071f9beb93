// The client of this session: where it is and how it was let in. None of it changes while the session lasts.
#pragma once

#include "jit_access/core/conditions.hpp"

namespace jit::pg {

// In a process that no client is connected to, a parallel worker too, nothing is known but the database.
[[nodiscard]] const core::Client& client() noexcept;

// The method is known only while a client is being let in. Then `let_in` is called, when the database is not known yet.
void install_authentication_hook(void (*let_in)(const core::Client&) noexcept) noexcept;

}  // namespace jit::pg
