#include "jit_access/pg/backend.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/version_shims.hpp"

extern "C" {
#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "commands/dbcommands.h"
#include "commands/sequence.h"
#include "common/ip.h"
#include "mb/pg_wchar.h"
#include "port/pg_crc32c.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/procsignal.h"
#include "storage/sinval.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"
}

// With ENABLE_GSS, libpq-be.h includes GSSAPI headers, which the server's development package does not depend on. The
// layout of Port does not depend on it.
#undef ENABLE_GSS
extern "C" {
#include "libpq/libpq-be.h"
}

namespace jit::pg {

std::int32_t backend_pid() noexcept { return MyProcPid; }

std::int32_t leader_pid() noexcept {
    return IsParallelWorker() && MyProc->lockGroupLeader != nullptr ? MyProc->lockGroupLeader->pid : MyProcPid;
}

bool is_parallel_worker() noexcept { return IsParallelWorker(); }

std::uint32_t backend_number() noexcept { return process_number(); }
std::uint32_t leader_number() noexcept {
    if (!IsParallelWorker() || MyProc->lockGroupLeader == nullptr) return backend_number();
    return static_cast<std::uint32_t>(MyProc->lockGroupLeader - ProcGlobal->allProcs);
}

// MaxBackends includes the worker. The PGPROC entries of auxiliary processes follow those of the backends.
std::uint32_t session_limit() noexcept { return static_cast<std::uint32_t>(MaxBackends + NUM_AUXILIARY_PROCS); }
// The start of the process. It distinguishes two sessions with the same pid.
std::int64_t session_start() noexcept { return MyStartTimestamp; }
std::uint32_t local_transaction_id() noexcept { return local_transaction_number(); }

std::string_view application_name() noexcept { return ::application_name != nullptr ? ::application_name : ""; }

std::string_view initial_application_name() noexcept {
    return MyProcPort != nullptr && MyProcPort->application_name != nullptr ? MyProcPort->application_name : "";
}

std::string client_address() {
    if (MyProcPort == nullptr || MyProcPort->raddr.addr.ss_family == AF_UNIX) return {};
    char host[NI_MAXHOST] = {};
    const auto& address = MyProcPort->raddr;
    return pg_getnameinfo_all(&address.addr, address.salen, host, sizeof host, nullptr, 0, NI_NUMERICHOST) == 0 ? host
                                                                                                                : "";
}

// The name is taken from the startup packet if there is one, because pg_authid cannot be read outside of a transaction,
// and the role may have been dropped.
std::string login_name() {
    if (MyProcPort != nullptr && MyProcPort->user_name != nullptr) return MyProcPort->user_name;
    if (!IsTransactionState()) return {};
    const char* name = call([] { return GetUserNameFromId(GetSessionUserId(), true); });
    return name != nullptr ? name : "";
}

std::string database_name() {
    if (MyProcPort != nullptr && MyProcPort->database_name != nullptr) return MyProcPort->database_name;
    if (!OidIsValid(MyDatabaseId)) return {};
    const char* name = call([] { return get_database_name(MyDatabaseId); });
    return name != nullptr ? name : "";
}

bool in_control_database() { return database_name() == settings::database; }

std::string cluster_name() { return ::cluster_name != nullptr ? ::cluster_name : ""; }
bool is_database_utf8() noexcept { return GetDatabaseEncoding() == PG_UTF8; }

std::string data_directory() { return DataDir; }

bool in_transaction() noexcept { return IsTransactionState(); }
bool has_written() noexcept { return TransactionIdIsValid(GetTopTransactionIdIfAny()); }
std::uint32_t subtransaction_id() noexcept { return GetCurrentSubTransactionId(); }

namespace {

MemoryContext find_child(MemoryContext parent, std::string_view name) noexcept {
    for (MemoryContext child = parent->firstchild; child != nullptr; child = child->nextchild)
        if (child->name == name) return child;
    return nullptr;
}

}  // namespace

// Looks for the memory context in which held rows are stored (utils/mmgr/portalmem.c). Iterating over the portals with
// hash_seq_search() is no alternative: a scan that is left open at the end of a transaction causes a warning.
bool has_held_cursors() noexcept {
    MemoryContext const portals = find_child(TopMemoryContext, "TopPortalContext");
    return portals != nullptr && find_child(portals, "PortalHoldContext") != nullptr;
}

bool is_standby() noexcept { return RecoveryInProgress(); }
std::uint64_t packed_user_ids() noexcept { return std::uint64_t{GetUserId()} << 32 | GetOuterUserId(); }
bool is_client_statement() noexcept { return MyBackendType == B_BACKEND && !InSecurityRestrictedOperation(); }
bool is_in_restricted_operation() noexcept { return InSecurityRestrictedOperation(); }
RoleId outer_user() noexcept { return {GetOuterUserId()}; }

void nap(int milliseconds) {
    call([&] {
        CHECK_FOR_INTERRUPTS();
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    });
}

void accept_invalidations() {
    call([] { AcceptInvalidationMessages(); });
}

void invalidate_system_caches() {
    call([] { InvalidateSystemCaches(); });
}

void trim_memory() noexcept {
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

void set_latch(Latch* latch) noexcept {
    if (latch != nullptr) SetLatch(latch);
}

bool process_exists(std::int32_t pid) noexcept { return pid > 0 && kill(pid, 0) == 0; }

// A pid may have been reused by another process, so the index in the array of PGPROCs is compared as well.
bool is_backend(std::int32_t pid, std::uint32_t number) noexcept {
    return BackendPidGetProc(pid) == &ProcGlobal->allProcs[number];
}

bool terminate_session(std::int32_t pid) noexcept { return pid > 0 && kill(pid, SIGTERM) == 0; }

void cancel_statement(std::int32_t pid) noexcept {
    if (pid > 0) (void)kill(pid, SIGINT);
}

bool is_running_command() noexcept { return debug_query_string != nullptr; }
std::string_view command_text() noexcept { return debug_query_string != nullptr ? debug_query_string : ""; }
std::int64_t command_start() noexcept { return GetCurrentStatementStartTimestamp(); }
void report_command(const char* text) noexcept { pgstat_report_activity(STATE_RUNNING, text); }
bool is_between_commands() noexcept { return ActivePortal == nullptr; }

// The server uses this to make an idle session accept invalidations: ProcessCatchupInterrupt() starts and commits an
// empty transaction (storage/ipc/sinval.c).
void request_idle_commit() noexcept { HandleCatchupInterrupt(); }
void request_idle_commit(std::int32_t pid) noexcept {
    constexpr int find_by_pid = -1;
    if (pid > 0) (void)SendProcSignal(pid, PROCSIG_CATCHUP_INTERRUPT, find_by_pid);
}

void close_cursors() {
    call([] { PortalHashTableDeleteAll(); });
}

// A subset of DISCARD ALL, which cannot run inside a transaction block. Portals are dropped first, because a temporary
// table cannot be dropped while a cursor on it is open.
void discard_session_state() {
    call([] {
        PortalHashTableDeleteAll();
        (void)set_config_option("role", "none", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
        PushActiveSnapshot(GetTransactionSnapshot());
        ResetTempTableNamespace();
        PopActiveSnapshot();
        ResetSequenceCaches();
    });
}

namespace {

struct Timer {
    clockid_t clock;
    timer_t timer;
    bool exists;
};
Timer real_time{CLOCK_BOOTTIME, {}, false};
Timer wall_time{CLOCK_REALTIME, {}, false};
void (*deadline_callback)() noexcept = nullptr;

// Like every signal handler, it must restore errno.
void on_deadline_signal(int) {
    const int saved = errno;
    deadline_callback();
    errno = saved;
}

bool create(Timer& timer) noexcept {
    if (timer.exists) return true;
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMIN;
    timer.exists = timer_create(timer.clock, &event, &timer.timer) == 0;
    return timer.exists;
}

bool catch_deadline_signal() noexcept {
    struct sigaction action {};
    action.sa_handler = on_deadline_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGRTMIN, &action, nullptr) == 0;
}

// Zero disarms the timer, so a relative time must be at least one microsecond.
void set(const Timer& timer, std::int64_t microseconds, int flags) noexcept {
    constexpr std::int64_t second = 1'000'000;
    itimerspec expiry{};
    expiry.it_value.tv_sec = microseconds / second;
    expiry.it_value.tv_nsec = microseconds % second * 1'000;
    if (timer.exists) (void)timer_settime(timer.timer, flags, &expiry, nullptr);
}

}  // namespace

// SA_RESTART: the handler sets the latch, so system calls need not be interrupted by it.
bool make_deadline_timers(void (*fire)() noexcept) noexcept {
    deadline_callback = fire;
    return catch_deadline_signal() && create(real_time) && create(wall_time);
}

bool restore_deadline_signal() noexcept {
    struct sigaction now {};
    if (sigaction(SIGRTMIN, nullptr, &now) != 0 || now.sa_handler == on_deadline_signal) return false;
    return catch_deadline_signal();
}

void arm_real_timer(std::int64_t in_us) noexcept { set(real_time, std::max<std::int64_t>(in_us, 1), 0); }

void arm_wall_timer(std::int64_t at) noexcept {
    constexpr std::int64_t unix_epoch = std::int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY;
    set(wall_time, at + unix_epoch, TIMER_ABSTIME);
}

void disarm_deadline_timers() noexcept {
    set(real_time, 0, 0);
    set(wall_time, 0, 0);
}

std::uint32_t crc32c(std::uint32_t seed, const void* data, std::size_t size) noexcept {
    pg_crc32c crc = seed ^ 0xFFFFFFFFU;
    COMP_CRC32C(crc, data, size);
    return crc ^ 0xFFFFFFFFU;
}

void random_bytes(void* to, std::size_t size) {
    if (pg_strong_random(to, size)) return;
    call([] { ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"))); });
}

std::size_t clip_at_character(const char* text, std::size_t size, std::size_t limit) noexcept {
    if (size <= limit) return size;
    return static_cast<std::size_t>(pg_mbcliplen(text, static_cast<int>(size), static_cast<int>(limit)));
}

std::string excerpt(std::string_view text) {
    constexpr std::size_t max_size = 100;
    const auto size = clip_at_character(text.data(), text.size(), max_size);
    return std::string(text.substr(0, size)) + (size < text.size() ? "..." : "");
}

}  // namespace jit::pg
