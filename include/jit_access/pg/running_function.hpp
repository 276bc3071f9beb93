// Which SQL function runs the statement that is starting.
//
// The server has no interface for that. While an SQL function runs a statement, its entry is on top of
// error_context_stack (fmgr_sql() in src/backend/executor/functions.c), with an argument that leads to the OID. The
// address of the callback is learnt once in a process, by running a function of the server whose OID is known. If that
// does not work, no statement is treated as belonging to a function of the server.
#pragma once

#include <cstdint>

namespace jit::pg {

// Whether the statement that is being started or continued belongs to an SQL function that came with the server, in
// pg_catalog or information_schema: its OID is below those of objects that users make. May throw; the first call in a
// process, if any function is running, runs a statement.
[[nodiscard]] bool runs_in_server_function();
// True for the statement that runs_in_server_function() runs to learn the address. The hook calls this first and then
// lets the statement run.
[[nodiscard]] bool is_learning_statement() noexcept;

}  // namespace jit::pg
