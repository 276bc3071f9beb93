// The server's hooks. Each hook calls the hook that was installed before it, and leaves the work to the rooms below.
//
// Both functions are called once, by _PG_init() in the postmaster, before any backend exists.
#pragma once

namespace jit::hooks {

void install();                // executor, utility commands, object access, error reports
void install_shared_memory();  // requests and initializes the extension's shared memory

}  // namespace jit::hooks
