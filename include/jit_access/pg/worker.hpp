// The background worker as the server sees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "jit_access/pg/role.hpp"

struct BackgroundWorkerHandle;
struct Latch;

namespace jit::pg {

// From _PG_init: one worker, started when the server is consistent (also on a standby), restarted when it dies. `main`
// is the name of an exported function.
void register_worker(const char* main);

// Who gets what a temporary role leaves, and whether code is part of it.
struct NewOwner {
    RoleId role;
    bool takes_code = false;
};
// What a reclaimer was started for.
struct CleanupTask {
    RoleId role;
    NewOwner new_owner;
};
// Starts a process in another database, in which the role has left something. False when no process is to be had.
bool start_cleanup(const char* main, std::uint32_t database, RoleId role, NewOwner new_owner);
// In that process: connects and answers what it was started for.
[[nodiscard]] CleanupTask connect_for_cleanup();

// Starts a process in the control database that does one job, by its name; false when none is to be had. The other one
// waits until it is gone.
bool start_job(const char* main, const std::string& job);
bool run_job(const char* main, const std::string& job);
// In that process: connects and answers which job.
[[nodiscard]] std::string connect_job(const char* database);

// A process that is started for one thing and runs `main`; the order says what for. Null when none is to be had.
using Process = BackgroundWorkerHandle*;
inline constexpr std::size_t max_start_parameters = 128;
[[nodiscard]] Process start_process(const char* main, std::span<const std::byte> order);
[[nodiscard]] bool has_exited(Process process);
void terminate_process(Process process);
// In that process: its order; and connected to the control database, as a login or, without one, as the server itself.
void read_start_parameters(std::span<std::byte> order) noexcept;
void connect_process(const char* login, const char* name);

// In the worker: signals, the control database, settings a database owner might have set.
void connect_worker(const char* database);
[[nodiscard]] Latch* my_latch() noexcept;
// Waits for the latch or the time; takes interrupts (DROP DATABASE elsewhere), reloads the configuration, exits on
// SIGTERM.
void worker_wait(std::int64_t microseconds);
[[nodiscard]] bool extension_exists();

}  // namespace jit::pg
