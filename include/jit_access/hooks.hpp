// The server's hooks: each asks "under a grant?" and delegates; none decides anything itself.
#pragma once

namespace jit::hooks {

void install();                // executor, utility commands, object access
void install_shared_memory();  // request and set up the board

}  // namespace jit::hooks
