// The boundary between C++ and the server: the only header that includes postgres.h, and the two functions through
// which errors pass. README.md has a wrong and a right example. Only the rooms `pg`, `statements` and `api` and the top
// room include it.
//
// Standard headers come first, because PostgreSQL defines macros with the names of standard functions. The macros are
// undefined afterwards.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

extern "C" {
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/elog.h"
#include "utils/memutils.h"
}

#undef _
#undef snprintf
#undef vsnprintf
#undef sprintf
#undef vsprintf
#undef fprintf
#undef printf
#undef strerror
#undef gettext
#undef Min
#undef Max

#include "jit_access/pg/error.hpp"

namespace jit::pg {

// Runs server code that may raise an ERROR and throws it as a ServerError, which keeps every field. The body and its
// result must own nothing that needs a destructor, because an ERROR jumps over the frame of the body. The error data
// are copied to the memory context of the caller.
template <class F>
std::invoke_result_t<F> call(F&& body) {
    using Result = std::invoke_result_t<F>;
    static_assert(std::is_void_v<Result> || std::is_trivially_destructible_v<Result>, "an ERROR skips destructors");

    MemoryContext const context = CurrentMemoryContext;
    ErrorData* volatile raised = nullptr;
    if constexpr (std::is_void_v<Result>) {
        PG_TRY();
        { body(); }
        PG_CATCH();
        {
            MemoryContextSwitchTo(context);
            raised = CopyErrorData();
            FlushErrorState();
        }
        PG_END_TRY();
        if (raised != nullptr) throw ServerError(raised);
    } else {
        Result result{};
        PG_TRY();
        { result = body(); }
        PG_CATCH();
        {
            MemoryContextSwitchTo(context);
            raised = CopyErrorData();
            FlushErrorState();
        }
        PG_END_TRY();
        if (raised != nullptr) throw ServerError(raised);
        return result;
    }
}

// An error on its way out of C++, in plain memory: no C++ object is alive when ereport() leaves the frame.
struct PendingError {
    ErrorData* server = nullptr;
    int sqlstate = 0;
    const char* message = nullptr;
    const char* detail = nullptr;
    const char* hint = nullptr;
};

// Describes the exception that is being handled. Must be called from a catch block.
PendingError take_current_exception() noexcept;
[[noreturn]] void raise_error(const PendingError& raised);

// Runs C++ code for a server callback or an SQL function. An exception becomes an ERROR, which is raised after the
// handler has ended and thereby freed the exception. A longjmp out of the handler would leak it.
template <class F>
std::invoke_result_t<F> guarded(F&& body) {
    PendingError raised;
    try {
        return body();
    } catch (...) {
        raised = take_current_exception();
    }
    raise_error(raised);
}

}  // namespace jit::pg
