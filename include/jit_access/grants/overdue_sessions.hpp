// Sessions that still have a grant one second after they should have left it or ended: their process does not react,
// for example because its code ignores signals, or because it is stopped.
//
// For each of them, an event `session outlived` is written, which raises the alert `session_outlived`, and the session
// is terminated again.
#pragma once

namespace jit::overdue_sessions {

// For the worker, outside of a transaction. Returns true if a session may become overdue within a second; the caller
// must then call the function again by that time.
[[nodiscard]] bool report() noexcept;

}  // namespace jit::overdue_sessions
