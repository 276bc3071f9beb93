// This process: who is connected, from where, in which state, and its timers, signals and callbacks.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "jit_access/pg/role.hpp"

struct Latch;

namespace jit::pg {

[[nodiscard]] std::int32_t backend_pid() noexcept;
// Of the session that a parallel worker works for; in any other process its own.
[[nodiscard]] std::int32_t leader_pid() noexcept;
[[nodiscard]] bool is_parallel_worker() noexcept;
// Dense number of this process among all, usable as an index below session_limit().
[[nodiscard]] std::uint32_t backend_number() noexcept;
[[nodiscard]] std::uint32_t leader_number() noexcept;
[[nodiscard]] std::uint32_t session_limit() noexcept;
[[nodiscard]] std::int64_t session_start() noexcept;
[[nodiscard]] std::uint32_t local_transaction_id() noexcept;

[[nodiscard]] std::string_view application_name() noexcept;
// As the client said when it connected; empty where there is none.
[[nodiscard]] std::string_view initial_application_name() noexcept;
// As the client said when it connected; nothing is looked up in a session.
[[nodiscard]] std::string client_address();  // empty for a socket
[[nodiscard]] std::string login_name();
[[nodiscard]] std::string database_name();
[[nodiscard]] bool in_control_database();
[[nodiscard]] std::string cluster_name();
[[nodiscard]] bool is_database_utf8() noexcept;  // the database does
[[nodiscard]] std::string data_directory();

[[nodiscard]] bool in_transaction() noexcept;  // and catalogs may be read
[[nodiscard]] bool has_written() noexcept;     // the transaction has an xid
[[nodiscard]] std::uint32_t subtransaction_id() noexcept;
// Whether the transaction that commits leaves cursors WITH HOLD, or there were some before.
[[nodiscard]] bool has_held_cursors() noexcept;
[[nodiscard]] bool is_standby() noexcept;
// A client's own session, not a background process, and not inside maintenance that runs other people's code (ANALYZE).
[[nodiscard]] bool is_client_statement() noexcept;
// The current user and the role SET ROLE chose, in one number; never 0.
[[nodiscard]] std::uint64_t packed_user_ids() noexcept;
// The role SET ROLE chose, or the session user. Differs from current_user() inside SECURITY DEFINER functions.
[[nodiscard]] RoleId outer_user() noexcept;

// Waits a moment, accepts interrupts, which may throw.
void nap(int milliseconds);
// Takes in what other transactions have committed about memberships, as the server does when it takes a lock.
void accept_invalidations();
// Forgets what the server has cached of the catalogs; it is read again when it is needed.
void invalidate_system_caches();
// Gives back to the system what the allocator holds free.
void trim_memory() noexcept;
void set_latch(Latch* latch) noexcept;

[[nodiscard]] bool process_exists(std::int32_t pid) noexcept;
// Whether this is the process id of the session that has this backend_number() now.
[[nodiscard]] bool is_backend(std::int32_t pid, std::uint32_t number) noexcept;
// Ends a session the way pg_terminate_backend does. False when there is no such process.
bool terminate_session(std::int32_t pid) noexcept;

// Asks for the statement to be cancelled, the way pg_cancel_backend does. For a signal handler as well.
void cancel_statement(std::int32_t pid) noexcept;

// The client's command that runs: whether there is one, its text, when it began.
[[nodiscard]] bool is_running_command() noexcept;
[[nodiscard]] std::string_view command_text() noexcept;
[[nodiscard]] std::int64_t command_start() noexcept;
// What pg_stat_activity shows from here on as the command.
void report_command(const char* text) noexcept;
[[nodiscard]] bool is_between_commands() noexcept;
// Has this session, or that of another process, commit an empty transaction as soon as it waits for its client outside
// of any. For a signal handler as well.
void request_idle_commit() noexcept;
void request_idle_commit(std::int32_t pid) noexcept;

// Drops what a session keeps from one transaction to the next and could show data by: cursors, temporary objects, the
// role it has chosen, the last values of sequences. Takes part in the transaction; throws.
void discard_session_state();

// Timers for the deadline of this session: one counts real time whatever the clock is set to, one goes off when the
// wall clock is there. No error of the session disarms them, as it does the server's own timeouts, which know the wall
// clock alone. `fire` runs in a signal handler.
[[nodiscard]] bool make_deadline_timers(void (*fire)() noexcept) noexcept;
void arm_real_timer(std::int64_t in_us) noexcept;
void arm_wall_timer(std::int64_t at) noexcept;
void disarm_deadline_timers() noexcept;

// CRC-32C, by the server's own, hardware-assisted routine.
[[nodiscard]] std::uint32_t crc32c(std::uint32_t seed, const void* data, std::size_t size) noexcept;
void random_bytes(void* to, std::size_t size);  // cryptographically strong; throws

// Cuts at a character boundary of the database encoding.
[[nodiscard]] std::size_t clip_at_character(const char* text, std::size_t size, std::size_t limit) noexcept;

// The beginning of something a user typed, for a message.
[[nodiscard]] std::string excerpt(std::string_view text);

}  // namespace jit::pg
