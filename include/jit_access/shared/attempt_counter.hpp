// Attempts of each login in the last minute, in shared memory: statements that were refused, and requests. Above
// jit_access.attempt_rate, refusals are counted instead of recorded one by one, and further requests are refused, so
// that no login can fill the record. The first refusal of each kind is recorded in any case.
//
// The state is outside of any transaction and shared by all sessions of a login, so that neither a rollback nor a new
// connection gives back an attempt. A login for which the table has no room is not limited. Counts that the worker has
// not written yet are lost in a crash of the server.
//
// admit_refusal() and admit_request() take no lock, allocate nothing and throw nothing.
#pragma once

#include <cstdint>
#include <string_view>

namespace jit::attempt_counter {

// Whether this refusal of the session user is to be recorded by itself. If not, it has been counted. The kind of a
// refusal is its SQLSTATE together with the grant, which is 0 if there is none.
[[nodiscard]] bool admit_refusal(std::string_view sqlstate, std::uint64_t grant) noexcept;
// Whether the session user may make another request. The call counts the request.
[[nodiscard]] bool admit_request() noexcept;

// Records what was counted, as one event for each login. Called by the worker of a primary.
void record_folded();

}  // namespace jit::attempt_counter
