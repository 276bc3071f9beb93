#include "jit_access/pg/backend.hpp"

#include <csignal>

#include "jit_access/pg/version.hpp"
#include "jit_access/settings.hpp"

extern "C" {
#include "access/parallel.h"
#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "port/pg_crc32c.h"
#include "storage/latch.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/portal.h"
#include "utils/timeout.h"
#include "utils/wait_event.h"
}

namespace jit::pg {

std::int32_t backend_pid() noexcept { return MyProcPid; }
std::uint32_t backend_number() noexcept { return process_number(); }
std::uint32_t session_limit() noexcept { return static_cast<std::uint32_t>(MaxBackends + NUM_AUXILIARY_PROCS); }
std::int64_t session_start() noexcept { return MyStartTimestamp; }
std::uint32_t local_transaction() noexcept { return local_transaction_number(); }

std::string_view application_name() noexcept { return ::application_name != nullptr ? ::application_name : ""; }

std::string client_address() {
    // The server's own inet_client_addr(): NULL for a socket and for background processes.
    const char* address = call([]() -> const char* {
        LOCAL_FCINFO(fcinfo, 0);
        InitFunctionCallInfoData(*fcinfo, nullptr, 0, InvalidOid, nullptr, nullptr);
        const Datum inet = inet_client_addr(fcinfo);
        return fcinfo->isnull ? "" : DatumGetCString(DirectFunctionCall1(inet_out, inet));
    });
    return address;
}

std::string database_name() {
    if (!OidIsValid(MyDatabaseId)) return {};
    const char* name = call([] { return get_database_name(MyDatabaseId); });
    return name != nullptr ? name : "";
}

bool in_control_database() { return database_name() == settings::database; }

std::string data_directory() { return DataDir; }

bool in_transaction() noexcept { return IsTransactionState(); }
bool has_written() noexcept { return TransactionIdIsValid(GetTopTransactionIdIfAny()); }
std::uint32_t subtransaction() noexcept { return GetCurrentSubTransactionId(); }
bool has_open_cursors() noexcept { return !ThereAreNoReadyPortals(); }

bool is_standby() noexcept { return RecoveryInProgress(); }
std::uint64_t who() noexcept { return std::uint64_t{GetUserId()} << 32 | GetOuterUserId(); }
bool is_somebody_asking() noexcept { return MyBackendType == B_BACKEND && !InSecurityRestrictedOperation(); }
RoleId outer_user() noexcept { return {GetOuterUserId()}; }

void nap(int milliseconds) {
    call([&] {
        CHECK_FOR_INTERRUPTS();
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    });
}

void accept_changes() {
    call([] { AcceptInvalidationMessages(); });
}

void set_latch(Latch* latch) noexcept {
    if (latch != nullptr) SetLatch(latch);
}

bool process_exists(std::int32_t pid) noexcept { return pid > 0 && kill(pid, 0) == 0; }

bool end_session(std::int32_t pid) noexcept { return pid > 0 && kill(pid, SIGTERM) == 0; }

namespace {

TimeoutId deadline_timer = MAX_TIMEOUTS;
void (*deadline_fire)() = nullptr;

}  // namespace

void arm_deadline_timer(std::int64_t wall_deadline, void (*fire)()) noexcept {
    deadline_fire = fire;
    if (deadline_timer == MAX_TIMEOUTS) deadline_timer = RegisterTimeout(USER_TIMEOUT, [] { deadline_fire(); });
    enable_timeout_at(deadline_timer, wall_deadline);
}

void disarm_deadline_timer() noexcept {
    if (deadline_timer != MAX_TIMEOUTS) disable_timeout(deadline_timer, false);
}

bool deadline_timer_armed() noexcept { return deadline_timer != MAX_TIMEOUTS && get_timeout_active(deadline_timer); }

std::uint32_t crc32c(std::uint32_t seed, const void* data, std::size_t size) noexcept {
    pg_crc32c crc = seed ^ 0xFFFFFFFFU;
    COMP_CRC32C(crc, data, size);
    return crc ^ 0xFFFFFFFFU;
}

void random_bytes(void* to, std::size_t size) {
    if (pg_strong_random(to, size)) return;
    call([] { ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"))); });
}

std::size_t clip(const char* text, std::size_t size, std::size_t limit) noexcept {
    if (size <= limit) return size;
    return static_cast<std::size_t>(pg_mbcliplen(text, static_cast<int>(size), static_cast<int>(limit)));
}

std::string excerpt(std::string_view text) {
    constexpr std::size_t enough = 100;
    const auto size = clip(text.data(), text.size(), enough);
    return std::string(text.substr(0, size)) + (size < text.size() ? "..." : "");
}

}  // namespace jit::pg
