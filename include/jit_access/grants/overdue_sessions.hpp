// Sessions that still have a grant one second after they should have left it or ended: their process does not react,
// for example because code in it has signals ignored, or because it is stopped.
//
// Each is an event `session outlived`, which raises the alert `session_outlived`, and it is terminated again.
#pragma once

namespace jit::overdue_sessions {

// For the worker, outside of a transaction. Whether there may be one within a second: call it again by then.
[[nodiscard]] bool report() noexcept;

}  // namespace jit::overdue_sessions
