// This process: the client that it serves, its state, its timers, signals and caches.
//
// Functions that are noexcept read process-local or shared variables of the server and may be called on the path of
// every statement; those marked "signal-safe" may also be called from a signal handler. The others may throw server
// errors. Wall times are microseconds since 2000-01-01 UTC, as timestamptz counts.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "jit_access/pg/role.hpp"

struct Latch;

namespace jit::pg {

[[nodiscard]] std::int32_t backend_pid() noexcept;
// Returns the pid of the leader in a parallel worker, and the process's own pid in any other process.
[[nodiscard]] std::int32_t leader_pid() noexcept;
[[nodiscard]] bool is_parallel_worker() noexcept;
// The number of this process, for use as an index below session_limit(). It is reused after the process has exited.
[[nodiscard]] std::uint32_t backend_number() noexcept;
[[nodiscard]] std::uint32_t leader_number() noexcept;
[[nodiscard]] std::uint32_t session_limit() noexcept;
[[nodiscard]] std::int64_t session_start() noexcept;  // wall time
[[nodiscard]] std::uint32_t local_transaction_id() noexcept;

[[nodiscard]] std::string_view application_name() noexcept;
// The application_name that the client sent in the startup packet; empty in a process without a client. SET cannot
// change it.
[[nodiscard]] std::string_view initial_application_name() noexcept;
// In the session of a client, these come from the connection and its startup packet, and no catalog is read.
[[nodiscard]] std::string client_address();  // empty for a Unix socket
[[nodiscard]] std::string login_name();
[[nodiscard]] std::string database_name();
[[nodiscard]] bool in_control_database();
[[nodiscard]] std::string cluster_name();
[[nodiscard]] bool is_database_utf8() noexcept;
[[nodiscard]] std::string data_directory();

[[nodiscard]] bool in_transaction() noexcept;  // catalogs may be read
[[nodiscard]] bool has_written() noexcept;     // the transaction has an xid
[[nodiscard]] std::uint32_t subtransaction_id() noexcept;
// Whether WITH HOLD cursors exist whose rows are materialized, that is, will outlive the transaction.
[[nodiscard]] bool has_held_cursors() noexcept;
[[nodiscard]] bool is_standby() noexcept;
// Whether statements come from a client. This is false in a background process, and in a security-restricted operation,
// in which maintenance commands such as ANALYZE run functions of other owners.
[[nodiscard]] bool is_client_statement() noexcept;
[[nodiscard]] bool is_in_restricted_operation() noexcept;
// The OIDs of the current user and of the role chosen by SET ROLE (or the session user), in one number that can be
// compared with one instruction; never 0.
[[nodiscard]] std::uint64_t packed_user_ids() noexcept;
// The role chosen by SET ROLE, or the session user. Differs from current_user() inside SECURITY DEFINER functions.
[[nodiscard]] RoleId outer_user() noexcept;

// Waits on the latch and accepts interrupts, which may throw.
void nap(int milliseconds);
// Accepts invalidations, such as changes of memberships that other sessions have committed. The server does the same
// whenever it takes a lock.
void accept_invalidations();
// Drops the catalog caches; they are read again on demand.
void invalidate_system_caches();
// Returns free memory of the allocator to the operating system.
void trim_memory() noexcept;
void set_latch(Latch* latch) noexcept;  // signal-safe; null does nothing

[[nodiscard]] bool process_exists(std::int32_t pid) noexcept;
// Whether the process with this backend_number() has this pid now.
[[nodiscard]] bool is_backend(std::int32_t pid, std::uint32_t number) noexcept;
// Does what pg_terminate_backend() does. Returns false if there is no such process. Signal-safe.
bool terminate_session(std::int32_t pid) noexcept;
// Does what pg_cancel_backend() does. Signal-safe.
void cancel_statement(std::int32_t pid) noexcept;

// Returns whether a command that the client has sent is running.
[[nodiscard]] bool is_running_command() noexcept;
[[nodiscard]] std::string_view command_text() noexcept;
[[nodiscard]] std::int64_t command_start() noexcept;  // wall time
// Replaces the text that pg_stat_activity shows for the running command.
void report_command(const char* text) noexcept;
[[nodiscard]] bool is_between_commands() noexcept;  // no portal is active
// Makes this session, or that of another process, commit an empty transaction as soon as it waits for its client
// outside of a transaction. Callbacks of that commit may then clean up the session. Signal-safe.
void request_idle_commit() noexcept;
void request_idle_commit(std::int32_t pid) noexcept;

// Closes all cursors. Needs a transaction; may throw.
void close_cursors();
// Discards session state that outlives a transaction and could show data read under a grant: cursors, the role chosen
// by SET ROLE, temporary objects, last values of sequences. Needs a transaction, takes part in it, and may throw.
void discard_session_state();

// Timers for the deadline of this session: one on the boot clock, one on the wall clock. They are POSIX timers of the
// extension, because the server's own timeouts (utils/misc/timeout.c) use only the wall clock and are disabled by every
// error. `fire` runs in a signal handler.
[[nodiscard]] bool make_deadline_timers(void (*fire)() noexcept) noexcept;
// Installs the handler of the timers' signal again if it was changed. Returns false if it was not.
bool restore_deadline_signal() noexcept;
void arm_real_timer(std::int64_t in_us) noexcept;  // microseconds from now, boot clock
void arm_wall_timer(std::int64_t at) noexcept;     // wall time
void disarm_deadline_timers() noexcept;

// CRC-32C by the server's routine, which uses the processor's instruction. `seed` is the result of the preceding part.
[[nodiscard]] std::uint32_t crc32c(std::uint32_t seed, const void* data, std::size_t size) noexcept;
void random_bytes(void* to, std::size_t size);  // cryptographically strong; throws

// Returns the largest size up to `limit` at which the text can be cut without splitting a character of the database
// encoding.
[[nodiscard]] std::size_t clip_at_character(const char* text, std::size_t size, std::size_t limit) noexcept;

// Returns the beginning of user input, for a message.
[[nodiscard]] std::string excerpt(std::string_view text);

}  // namespace jit::pg
