#include "jit_access/pg/error.hpp"

#include <new>
#include <string_view>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/server.hpp"

namespace jit::pg {

namespace {

// Must not raise an ERROR, because it runs in a catch block, and a longjmp out of it would leak the exception.
const char* copy_to_server(const std::string& text) noexcept {
    auto* copy =
        static_cast<char*>(MemoryContextAllocExtended(CurrentMemoryContext, text.size() + 1, MCXT_ALLOC_NO_OOM));
    if (copy == nullptr) return "out of memory";
    text.copy(copy, text.size());
    copy[text.size()] = '\0';
    return copy;
}

// Identifies errors of the extension: copies of an error keep the format of the message, and no other code uses this
// format. PL/pgSQL's RAISE always has "%s".
constexpr char own_format[] = "%s%s";

int sqlstate_number(std::string_view code) noexcept {
    return MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]);
}

}  // namespace

const char* ServerError::what() const noexcept { return data_->message != nullptr ? data_->message : "server error"; }

std::string ServerError::sqlstate() const { return unpack_sql_state(data_->sqlerrcode); }

bool is_extension_error(const ErrorData& error) noexcept {
    return error.message_id != nullptr && std::string_view(error.message_id) == own_format;
}

// A message that was read from a parallel worker has no format (libpq/pqmq.c, pq_parse_errornotice).
bool is_relayed_by_parallel_worker(const ErrorData& error) noexcept { return error.message_id == nullptr; }

PendingError take_current_exception() noexcept {
    try {
        throw;
    } catch (const ServerError& error) {
        return {.server = error.data()};
    } catch (const core::Failure& failure) {
        return {.sqlstate = sqlstate_number(core::entry(failure.code).sqlstate),
                .message = copy_to_server(failure.message),
                .detail = failure.detail.empty() ? nullptr : copy_to_server(failure.detail),
                .hint = failure.hint.empty() ? nullptr : copy_to_server(failure.hint)};
    } catch (const std::bad_alloc&) {
        return {.sqlstate = ERRCODE_OUT_OF_MEMORY, .message = "out of memory"};
    } catch (const std::exception& error) {
        return {.sqlstate = ERRCODE_INTERNAL_ERROR, .message = copy_to_server(error.what())};
    } catch (...) {
        return {.sqlstate = ERRCODE_INTERNAL_ERROR, .message = "unknown C++ exception"};
    }
}

void raise_error(const PendingError& raised) {
    if (raised.server != nullptr) ReThrowError(raised.server);
    ereport(ERROR, (errcode(raised.sqlstate), errmsg_internal(own_format, raised.message, ""),
                    raised.detail != nullptr ? errdetail_internal("%s", raised.detail) : 0,
                    raised.hint != nullptr ? errhint("%s", raised.hint) : 0));
    pg_unreachable();
}

void log_line(const char* message) noexcept { ereport(LOG, (errmsg_internal("jit_access: %s", message))); }

void log_line(const std::string& message) noexcept { log_line(message.c_str()); }

void notice(const std::string& message, const std::string& hint) {
    call([&] {
        ereport(NOTICE, (errmsg_internal("%s", message.c_str()), hint.empty() ? 0 : errhint("%s", hint.c_str())));
    });
}

}  // namespace jit::pg
