// Denied attempts that no hook sees before they fail: a statement that fails during parsing for lack of a privilege, or
// a request or decision that fails. They are found when the server reports the error, after the statement's effects
// have been undone.
//
// Catalogs must not be read at that point. If the cache does not tell whether the session uses a grant, the attempt is
// kept in memory and recorded when the session is next idle, in the empty transaction of pg::request_idle_commit().
#pragma once

#include <string_view>

#include "jit_access/core/failure.hpp"

namespace jit::denied_attempt {

// Where an error was raised. The SQLSTATE is not sufficient, because any PL/pgSQL function can raise an error with a
// code of the extension, which would put false attempts on the record.
enum class ErrorSource {
    extension,  // by this library in this process
    relayed,    // by another process, whose message this session passes on
    other
};

struct Error {
    ErrorSource source;
    bool ends_session;
    std::string_view sqlstate;
    std::string_view message;
    std::string_view statement;
};

// Called by the emit_log hook for an ERROR of a client's session. Raises no error.
void on_error_reported(const Error& error) noexcept;
// Records the failure, at most once per command of the client, and throws it. Used for attempts to act in another
// user's name or to decide about one's own request. Such an attempt cannot be left to on_error_reported(). Code of the
// attacker could catch the error, which would then never be reported. Under a grant, the error would be recorded only
// as the outcome of the use.
[[noreturn]] void record_and_throw(const core::Failure& failure);
// Records the attempt that was kept. Called before a transaction between two commands commits, when catalogs can be
// read.
void record_pending();

}  // namespace jit::denied_attempt
