// The client of this session: where it connects from and how it was authenticated. It does not change while the session
// lasts.
#pragma once

#include "jit_access/core/conditions.hpp"

namespace jit::pg {

// In a process without a client, which includes parallel workers, only the database is set.
[[nodiscard]] const core::Client& client() noexcept;

// Installs the hook that keeps the authentication method, which the server forgets after authentication. The hook calls
// `authenticated` for each authenticated client; the database is not known yet at that time. Called by _PG_init.
void install_authentication_hook(void (*authenticated)(const core::Client&) noexcept) noexcept;

}  // namespace jit::pg
