// What a drill needs: the service identities, the canary table, and the canary template.
// A service identity is a login without a password and with the connection limit 0. The limit stops every client; the
// server does not count background processes against it (miscinit.c, InitializeSessionUserId).
#pragma once

#include "jit_access/identity/principal.hpp"

namespace jit::drill {

// Makes what it needs: the service identities, the canary, its template. By an administrator; again to mend it.
void set_up(const principal::Origin& origin);

}  // namespace jit::drill
