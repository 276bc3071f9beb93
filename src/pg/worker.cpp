#include "jit_access/pg/worker.hpp"

#include <algorithm>

#include "jit_access/pg/server.hpp"
#include "jit_access/pg/settings.hpp"

extern "C" {
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/wait_event.h"
}

namespace jit::pg {

namespace {

// WaitLatch() counts milliseconds in an int, which a deadline more than 24 days ahead would overflow.
constexpr std::int64_t max_wait = 60'000'000;

// Settings on which the SQL of the worker relies. ALTER DATABASE and ALTER ROLE could change them.
struct PinnedSetting {
    const char* setting;
    const char* value;
};
constexpr PinnedSetting pinned_settings[] = {
    {"role", "none"},
    {"search_path", "pg_catalog, pg_temp"},
    {"default_transaction_isolation", "read committed"},
    {"default_transaction_read_only", "off"},
    {"default_transaction_deferrable", "off"},
    {"statement_timeout", "0"},
    {"idle_in_transaction_session_timeout", "0"},
    {"lock_timeout", "200ms"},
    {"row_security", "on"},
    {"session_replication_role", "origin"},
    {"TimeZone", "UTC"},
    {"DateStyle", "ISO, YMD"},
    {"IntervalStyle", "postgres"},
    {"client_min_messages", "warning"},
    {"max_parallel_workers_per_gather", "0"},  // cleanup processes need the background workers
    {"default_tablespace", ""},
    {"default_table_access_method", "heap"},
    {"check_function_bodies", "on"},
    {"jit", "off"},
    {"enable_seqscan", "off"},  // tables grow faster than autovacuum updates their statistics
    {"exit_on_error", "off"},
#if PG_VERSION_NUM >= 170000
    {"transaction_timeout", "0"},
#endif
};

constexpr const char* worker_name = "jit_access worker";
constexpr const char* cleanup_name = "jit_access cleanup";
constexpr const char* job_name = "jit_access job";

BackgroundWorker describe_process(const char* main, const char* name) noexcept {
    BackgroundWorker worker{};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    strlcpy(worker.bgw_library_name, "jit_access", sizeof worker.bgw_library_name);
    strlcpy(worker.bgw_function_name, main, sizeof worker.bgw_function_name);
    strlcpy(worker.bgw_name, name, sizeof worker.bgw_name);
    strlcpy(worker.bgw_type, name, sizeof worker.bgw_type);
    return worker;
}

// Installs the handlers of an ordinary backend: SIGTERM ends the process at the next CHECK_FOR_INTERRUPTS(), even
// inside a query.
void set_up_signals() {
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
}

void pin_settings(const char* name) {
    for (const auto& pin : pinned_settings) SetConfigOption(pin.setting, pin.value, PGC_SUSET, PGC_S_SESSION);
    pgstat_report_appname(name);
}

// The task of a cleanup process, passed to it in bgw_extra.
struct CleanupParameters {
    Oid database;
    Oid role;
    Oid new_owner;
    bool takes_code;
    std::int64_t grant;
};
static_assert(sizeof(CleanupParameters) <= BGW_EXTRALEN, "parameters are passed in bgw_extra");

// The name of the job is passed in bgw_extra, too.
BackgroundWorker describe_job(const char* main, const std::string& job) noexcept {
    auto worker = describe_process(main, job_name);
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    strlcpy(worker.bgw_extra, job.c_str(), sizeof worker.bgw_extra);
    return worker;
}

}  // namespace

void register_worker(const char* main) {
    auto worker = describe_process(main, worker_name);
    worker.bgw_start_time = BgWorkerStart_ConsistentState;
    worker.bgw_restart_time = 1;
    RegisterBackgroundWorker(&worker);
}

// BGWORKER_BYPASS_ALLOWCONN is used, because grants must end even while the control database refuses connections.
void connect_worker(const char* database) {
    set_up_signals();
    BackgroundWorkerInitializeConnection(database, nullptr, BGWORKER_BYPASS_ALLOWCONN);
    pin_settings(worker_name);
}

bool start_cleanup(const char* main, std::uint32_t database, RoleId role, NewOwner new_owner) {
    auto worker = describe_process(main, cleanup_name);
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    const CleanupParameters parameters{database, role.oid, new_owner.role.oid, new_owner.takes_code, new_owner.grant};
    memcpy(worker.bgw_extra, &parameters, sizeof parameters);
    return call([&] { return RegisterDynamicBackgroundWorker(&worker, nullptr); });
}

CleanupTask connect_for_cleanup() {
    set_up_signals();
    CleanupParameters parameters{};
    memcpy(&parameters, MyBgworkerEntry->bgw_extra, sizeof parameters);
    BackgroundWorkerInitializeConnectionByOid(parameters.database, InvalidOid, BGWORKER_BYPASS_ALLOWCONN);
    pin_settings(cleanup_name);
    return {{parameters.role}, {{parameters.new_owner}, parameters.takes_code, parameters.grant}};
}

bool start_job(const char* main, const std::string& job) {
    auto worker = describe_job(main, job);
    return call([&] { return RegisterDynamicBackgroundWorker(&worker, nullptr); });
}

// bgw_notify_pid makes the postmaster signal this process when the job exits, which ends the wait.
bool run_job(const char* main, const std::string& job) {
    auto worker = describe_job(main, job);
    return call([&] {
        worker.bgw_notify_pid = MyProcPid;
        BackgroundWorkerHandle* handle = nullptr;
        if (!RegisterDynamicBackgroundWorker(&worker, &handle)) return false;
        return WaitForBackgroundWorkerShutdown(handle) == BGWH_STOPPED;
    });
}

std::string connect_job(const char* database) {
    set_up_signals();
    BackgroundWorkerInitializeConnection(database, nullptr, BGWORKER_BYPASS_ALLOWCONN);
    pin_settings(job_name);
    // Jobs read whole tables, so sequential scans are enabled.
    SetConfigOption("enable_seqscan", "on", PGC_SUSET, PGC_S_SESSION);
    return MyBgworkerEntry->bgw_extra;
}

static_assert(max_start_parameters == BGW_EXTRALEN, "parameters are passed in bgw_extra");

Process start_process(const char* main, std::span<const std::byte> parameters) {
    auto worker = describe_process(main, main);
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_notify_pid = MyProcPid;
    memcpy(worker.bgw_extra, parameters.data(), std::min<std::size_t>(parameters.size(), BGW_EXTRALEN));
    return call([&]() -> Process {
        Process handle = nullptr;
        // The handle must outlive the transaction.
        MemoryContext const outside = MemoryContextSwitchTo(TopMemoryContext);
        const bool started = RegisterDynamicBackgroundWorker(&worker, &handle);
        MemoryContextSwitchTo(outside);
        return started ? handle : nullptr;
    });
}

bool has_exited(Process process) {
    pid_t pid = 0;
    const auto status = GetBackgroundWorkerPid(process, &pid);
    return status == BGWH_STOPPED || status == BGWH_POSTMASTER_DIED;
}

void terminate_process(Process process) { TerminateBackgroundWorker(process); }

void read_start_parameters(std::span<std::byte> parameters) noexcept {
    memcpy(parameters.data(), MyBgworkerEntry->bgw_extra, std::min<std::size_t>(parameters.size(), BGW_EXTRALEN));
}

void connect_process(const char* login, const char* name) {
    set_up_signals();
    BackgroundWorkerInitializeConnection(settings::database, login, BGWORKER_BYPASS_ALLOWCONN);
    pin_settings(name);
}

Latch* my_latch() noexcept { return MyLatch; }

// Rounds up to milliseconds, because rounding down would wake the worker just before a deadline and make it loop.
void worker_wait(std::int64_t microseconds) {
    call([&] {
        const auto wait = std::clamp<std::int64_t>(microseconds, 0, max_wait);
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (wait + 999) / 1000,
                        PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            ProcessConfigFile(PGC_SIGHUP);
        }
    });
}

bool extension_exists() {
    return call([] { return OidIsValid(get_extension_oid("jit_access", true)); });
}

}  // namespace jit::pg
