// Creates the objects of a drill: the service identities, the canary table, and the canary template.
//
// A service identity is a login without a password and with CONNECTION LIMIT 0. The limit stops every client; the
// server does not count background processes against it (miscinit.c, InitializeSessionUserId).
#pragma once

#include "jit_access/identity/principal.hpp"

namespace jit::drill {

// For administrators. Can be called again to repair missing objects. Throws core::Failure if a role or schema with one
// of these names exists but has other properties.
void set_up(const principal::Origin& origin);

}  // namespace jit::drill
