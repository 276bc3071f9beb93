// Background processes as the server starts them (postmaster/bgworker.c): the worker, and processes that it or a
// session starts for one task.
//
// `main` is the name of an exported function of the library, in which the process begins. That function first calls the
// matching connect_ function, which unblocks signals, connects to a database and pins the settings on which the SQL of
// the extension relies, because a database owner can set them. An error in it ends the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "jit_access/pg/role.hpp"

struct BackgroundWorkerHandle;
struct Latch;

namespace jit::pg {

// Called by _PG_init. Registers one worker, which is started when the server is consistent (even on a standby) and
// restarted a second after it has exited.
void register_worker(const char* main);
void connect_worker(const char* database);

// The role that gets the objects left by the temporary role of a grant, and whether it also gets functions and similar
// objects. Without a role all of them are quarantined.
struct NewOwner {
    RoleId role;
    bool takes_code = false;
    std::int64_t grant = 0;
};
struct CleanupTask {
    RoleId role;
    NewOwner new_owner;
};
// Starts a process in another database in which a temporary role has left objects. Returns false if no process can be
// started.
bool start_cleanup(const char* main, std::uint32_t database, RoleId role, NewOwner new_owner);
// Connects to that database and returns the task.
[[nodiscard]] CleanupTask connect_for_cleanup();

// Both functions start a process for the job of this name; run_job() also waits until the process has exited. They
// return false if no process can be started.
bool start_job(const char* main, const std::string& job);
bool run_job(const char* main, const std::string& job);
// Connects to the control database and returns the name of the job.
[[nodiscard]] std::string connect_job(const char* database);

// A process that is controlled by the process that started it.
using Process = BackgroundWorkerHandle*;
inline constexpr std::size_t max_start_parameters = 128;  // bytes
// `parameters` are plain data for the new process. Returns null if no process can be started.
[[nodiscard]] Process start_process(const char* main, std::span<const std::byte> parameters);
[[nodiscard]] bool has_exited(Process process);
void terminate_process(Process process);
// Called in the new process. Copies the parameters.
void read_start_parameters(std::span<std::byte> parameters) noexcept;
// Connects to the control database as a login, or as the bootstrap superuser if `login` is null.
void connect_process(const char* login, const char* name);

[[nodiscard]] Latch* my_latch() noexcept;
// Waits for the latch or the time, at most a minute. Accepts interrupts, reloads the configuration, exits on SIGTERM.
void worker_wait(std::int64_t microseconds);
[[nodiscard]] bool extension_exists();

}  // namespace jit::pg
