#include "jit_access/pg/impersonation.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/server.hpp"

extern "C" {
#include "executor/spi.h"
#include "storage/latch.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/timeout.h"
}

namespace jit::pg {

namespace {

// A subtransaction that restores memory context and resource owner, as PL/pgSQL does for a block with an exception
// handler (pl_exec.c).
class Subtransaction {
public:
    Subtransaction() {
        call([this] {
            BeginInternalSubTransaction(nullptr);
            MemoryContextSwitchTo(context_);
        });
        level_ = GetCurrentTransactionNestLevel();
    }

    void release() {
        call([] { ReleaseCurrentSubTransaction(); });
        restore();
    }

    // An error may have left nested subtransactions open; they are rolled back as well.
    void roll_back() {
        call([this] {
            while (GetCurrentTransactionNestLevel() >= level_) RollbackAndReleaseCurrentSubTransaction();
        });
        restore();
    }

private:
    void restore() noexcept {
        MemoryContextSwitchTo(context_);
        CurrentResourceOwner = owner_;
    }

    MemoryContext context_ = CurrentMemoryContext;
    ResourceOwner owner_ = CurrentResourceOwner;
    int level_ = 0;
};

TimeoutId cancel_timeout = MAX_TIMEOUTS;  // registered on first use
volatile sig_atomic_t time_is_over = 0;

// Signal handler: requests a cancel as StatementCancelHandler() does.
void on_timeout() {
    time_is_over = 1;
    InterruptPending = 1;
    QueryCancelPending = 1;
    SetLatch(MyLatch);
}

// DETAIL is included only for errors of the extension. In other errors it may quote rows, which a dry run must not
// reveal.
Fault fault_of(const ServerError& error) {
    const ErrorData& data = *error.data();
    Fault fault{error.sqlstate(), error.what(), data.context != nullptr ? data.context : "",
                data.message_id != nullptr ? data.message_id : "", is_extension_error(data)};
    if (fault.ours && data.detail != nullptr) fault.message += std::string(": ") + data.detail;
    return fault;
}

}  // namespace

void in_rolled_back_subtransaction(const std::function<void()>& body) {
    Subtransaction subtransaction;
    std::exception_ptr exception;
    try {
        body();
    } catch (...) {
        exception = std::current_exception();
    }
    subtransaction.roll_back();
    if (exception) std::rethrow_exception(exception);
}

std::optional<Fault> attempt(const std::function<void()>& body) {
    Subtransaction subtransaction;
    std::optional<Fault> fault;
    try {
        body();
    } catch (const ServerError& error) {
        if (error.data()->sqlerrcode == ERRCODE_QUERY_CANCELED && !CancelTimer::is_over()) {
            subtransaction.roll_back();
            // The error was raised under a MessageSuppression, but when it is thrown again, the client must receive it.
            error.data()->output_to_client = whereToSendOutput == DestRemote;
            throw;
        }
        fault = fault_of(error);
    } catch (const core::Failure& failure) {
        fault = Fault{.sqlstate = std::string(core::entry(failure.code).sqlstate),
                      .message = failure.detail.empty() ? failure.message : failure.message + ": " + failure.detail,
                      .ours = true};
    } catch (...) {
        subtransaction.roll_back();
        throw;
    }
    if (fault)
        subtransaction.roll_back();
    else
        subtransaction.release();
    return fault;
}

Impersonate::Impersonate(RoleId user, Restricted restricted) noexcept {
    GetUserIdAndSecContext(&user_, &context_);
    SetUserIdAndSecContext(user.oid, context_ | SECURITY_LOCAL_USERID_CHANGE |
                                         (restricted == Restricted::yes ? SECURITY_RESTRICTED_OPERATION : 0));
}

Impersonate::~Impersonate() { SetUserIdAndSecContext(user_, context_); }

MessageSuppression::MessageSuppression() noexcept : destination_(whereToSendOutput) { whereToSendOutput = DestNone; }
MessageSuppression::~MessageSuppression() { whereToSendOutput = static_cast<CommandDest>(destination_); }

CancelTimer::CancelTimer(std::int64_t microseconds) {
    constexpr int repeat_ms = 100;
    call([=] {
        if (cancel_timeout == MAX_TIMEOUTS) cancel_timeout = RegisterTimeout(USER_TIMEOUT, on_timeout);
        time_is_over = 0;
        enable_timeout_every(cancel_timeout, wall_clock() + microseconds, repeat_ms);
    });
}

// A pending cancel request must not cancel the statement that follows.
CancelTimer::~CancelTimer() {
    disable_timeout(cancel_timeout, false);
    if (time_is_over != 0) QueryCancelPending = 0;
}

bool CancelTimer::is_over() noexcept { return time_is_over != 0; }

namespace {

void set_locally(const char* name, const char* value) {
    call([=] { (void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false); });
}

}  // namespace

void set_search_path(const std::string& path) { set_locally("search_path", path.c_str()); }

void set_short_lock_timeout() { set_locally("lock_timeout", "20ms"); }

void disable_parallel_query() {
    set_locally("max_parallel_workers_per_gather", "0");
    set_locally("max_parallel_maintenance_workers", "0");
}

std::string search_path() {
    return call([] { return GetConfigOption("search_path", false, false); });
}

std::uint64_t run_and_discard(const std::string& sql) {
    std::uint64_t rows = 0;
    const int rc = call([&] {
        SPI_connect();
        SPIExecuteOptions options{};
        options.dest = None_Receiver;
        const int code = SPI_execute_extended(sql.c_str(), &options);
        rows = SPI_processed;
        SPI_finish();
        return code;
    });
    // SPI returns codes, not errors, for COPY from or to the client and for transaction control.
    if (rc >= 0) return rows;
    throw core::Failure(core::Code::guarded, "this kind of statement is not run in a dry run",
                        "COPY from or to the client and transaction control require a client.");
}

}  // namespace jit::pg
