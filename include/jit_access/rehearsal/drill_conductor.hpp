// The conductor process of a drill: runs the steps in order and stores the result of each in jit_access.drill_step. The
// first step that fails ends the drill.
#pragma once

namespace jit::drill {

// The main function of the conductor process.
void conduct();

}  // namespace jit::drill
