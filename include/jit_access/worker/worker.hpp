// The main loop of the worker, a background process of the control database: ends grants at their deadline,
// updates tables and catalogs, moves the journal to the record, evaluates the alert rules, and sleeps until the
// next deadline. src/worker/README.md has the order of a round.
#pragma once

namespace jit::worker {

// Called by the main function of the process, connected (pg::connect_worker) and without a transaction. It never
// returns. An error that is not caught ends the process, which the postmaster restarts after a second.
[[noreturn]] void run();

}  // namespace jit::worker
