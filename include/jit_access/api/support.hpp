// Common parts of the SQL-callable functions: the checks before the body, and the conversions of results. Only the
// files of this room use it; src/api/README.md says how a function is added.
//
// Except for _PG_init, all extern "C" functions of the library are in the files of this room. C++ exceptions become
// server ERRORs there and nowhere else (pg::guarded).
#pragma once

#include <optional>
#include <utility>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/lifecycle.hpp"
#include "jit_access/identity/principal.hpp"
#include "jit_access/pg/args.hpp"

namespace jit::api {

using core::Code;
using core::Failure;
using pg::Args;

void require_loaded();            // throws not_loaded unless the library was preloaded
void require_primary();           // the same, and throws not_here on a standby
void require_control_database();  // throws not_here in a copy of the control database

// Runs the body of a function that uses the tables of the extension, with its arguments. Raises a server ERROR if the
// tables do not exist or cannot be written.
template <class Body>
Datum answer(FunctionCallInfo info, Body&& body) {
    return pg::guarded([&] {
        require_primary();
        require_control_database();
        return std::forward<Body>(body)(Args(info));
    });
}

// Returns whether the client itself sent the statement that makes this call, for principal::require_own_statement().
[[nodiscard]] principal::Origin origin_of(FunctionCallInfo info);

// A value of the SQL enum jit_access.state.
[[nodiscard]] Datum state_result(core::State state);

// A column of a result row.
template <class T>
[[nodiscard]] pg::Value or_null(const std::optional<T>& value) {
    return value ? pg::Value(*value) : pg::Value();
}

}  // namespace jit::api
