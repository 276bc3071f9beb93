// Denied attempts that no other hook meets: a privilege that is missing while a statement is parsed, a request or a
// decision that failed. They are seen where the server reports the error, after everything of the statement is undone.
//
// That is no place to look anything up. Where it is not known yet whether the session uses a grant, the attempt is kept
// and put on the record in the session's next idle moment.
#pragma once

#include <string_view>

#include "jit_access/core/failure.hpp"

namespace jit::denied_attempt {

// Who has raised an error, which its SQLSTATE does not tell: anybody can raise one with a code of the extension.
enum class Raiser { extension, unknown_process, somebody };

struct Error {
    Raiser raiser;
    bool ends_session;
    std::string_view sqlstate;
    std::string_view message;
    std::string_view statement;
};

// An error of this session is about to be reported.
void seen(const Error& error) noexcept;
// Puts an attempt on the record, once for a command of the client, and throws: of what somebody may try in another's
// name, where his code would catch the error before it is reported.
[[noreturn]] void refuse(const core::Failure& failure);
// Before a commit, between two commands; looks up what could not be looked up.
void record_kept();

}  // namespace jit::denied_attempt
