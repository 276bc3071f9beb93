// What every SQL-callable function does before and after its stage of the life of a grant.
//
// The files of this room hold the only extern "C" functions of the library beside _PG_init. Each reads its arguments,
// calls one function of the room below, and returns the answer. C++ exceptions become server ERRORs here and nowhere
// else (pg::guarded).
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

// Runs a function that reads or writes the tables of the extension: only where they are, and where they can be written.
template <class Body>
Datum answer(FunctionCallInfo info, Body&& body) {
    return pg::guarded([&] {
        require_primary();
        require_control_database();
        return std::forward<Body>(body)(Args(info));
    });
}

// Whether the client itself sent this call.
[[nodiscard]] principal::Origin origin_of(FunctionCallInfo info);

[[nodiscard]] Datum state_result(core::State state);

template <class T>
[[nodiscard]] pg::Value or_null(const std::optional<T>& value) {
    return value ? pg::Value(*value) : pg::Value();
}

}  // namespace jit::api
