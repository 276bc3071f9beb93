// The process that conducts a drill: takes its steps in order and keeps what each found in jit_access.drill_step.
// The first step that fails ends the drill.
#pragma once

namespace jit::drill {

// The life of the process that conducts.
void conduct();

}  // namespace jit::drill
