// The signal handlers of this process, and the interrupts that it raises for itself.
//
// Code of a procedural language can change what a signal does: plperl's %SIG calls sigaction(). A signal that is
// ignored neither ends the session at the deadline nor cancels its statement. Therefore the handlers that the server
// has installed are remembered before the first statement of the process, and restored after such code has run.
//
// Signal-safe, noexcept, without allocation.
#pragma once

namespace jit::pg {

// Remembers the handlers of the server and the signals that it blocks. Only the first call has an effect.
void remember_signal_handlers() noexcept;
// Restores the handlers and blocked signals that have changed since, and makes the server read requests that arrived in
// the meantime. Returns false if nothing was changed.
bool restore_signal_handlers() noexcept;

// Ends this session, or cancels its statement, where the server next checks for interrupts, as SIGTERM and SIGINT
// would. These functions set the flags of the server and send no signal, because a signal may be ignored.
void terminate_self() noexcept;
void cancel_own_statement() noexcept;

}  // namespace jit::pg
