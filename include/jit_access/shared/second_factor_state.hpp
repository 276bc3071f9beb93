// State of second factors in shared memory, and of this session: which codes were accepted, how many wrong codes a
// login has given, and until when a session or a client has stepped up.
//
// The state is outside of any transaction. An accepted code is never accepted again and a failed one stays counted,
// even if the transaction of the attempt is rolled back. The worker writes the tables afterwards. Shared memory is
// empty after a start. Codes that may have been accepted before the start are then refused (step_floor()). Valid codes
// are therefore refused for at most a minute, and a restart gives no additional guesses.
//
// Functions that take the second-factor lock (pg/locks.hpp) hold it for a moment, never while SQL runs. They throw
// server errors. Rules about codes are in core/totp.hpp. Times are microseconds.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "jit_access/core/chain.hpp"
#include "jit_access/core/totp.hpp"
#include "jit_access/pg/role.hpp"

namespace jit::second_factor_state {

// Identifies a secret by random bytes of its sealed form; 0 = none.
using SecretId = std::uint64_t;

// Initializes the shared memory. Called by the postmaster when it creates it.
void initialize() noexcept;

// Returns the time step up to which codes are refused, because they may have been accepted before this server was
// started or promoted. Returns 0 for a secret enrolled since then.
[[nodiscard]] std::uint64_t step_floor(pg::RoleId login, SecretId secret);
// Remembers that the secret is new, so that no code of it can have been accepted. Returns false if there is no room for
// the login.
[[nodiscard]] bool register_secret(pg::RoleId login, SecretId secret);

// The current time step of RFC 6238.
[[nodiscard]] std::uint64_t current_step() noexcept;

enum class CodeResult : std::uint8_t { accepted, wrong, locked, no_room };

// Counts one attempt of a login. `step` is the time step to which the code belongs, if any; `last_step` is the last
// accepted one in the table.
[[nodiscard]] CodeResult try_code(pg::RoleId login, SecretId secret, std::optional<std::uint64_t> step,
                                  std::uint64_t last_step);
// The same with a recovery code. `mark_used` marks it as used in the table, and returns whether it was there and
// unused. During the call no other session can try the same code. `mark_used` must not rely on its snapshot, which
// might be older than a use that has just been written to the table and removed from shared memory.
[[nodiscard]] CodeResult try_recovery_code(pg::RoleId login, const core::Digest& digest,
                                           const std::function<bool()>& mark_used);

// Records that this session has stepped up until `until` (boot clock). For the other sessions of the login, the same is
// recorded for the client's address.
void mark_session(pg::RoleId login, std::int64_t until);
// Forgets the step-up of this session. For DISCARD ALL, after which a pooler may give the session to another client.
void clear_session_mark() noexcept;
// Called when a client has authenticated. Stores in shared memory where the client comes from, for the parallel workers
// of the session.
void publish_session() noexcept;
// Whether this session has stepped up. Checked for requests and decisions.
[[nodiscard]] bool has_stepped_up(pg::RoleId login) noexcept;
// Whether the session user has stepped up in this session or in another one from the same address. Checked at the first
// use of a grant, because a client uses a grant in many sessions, and in databases without the extension. In a parallel
// worker the answer is that of its leader; in a process without a client it is false. Takes no lock and allocates
// nothing.
[[nodiscard]] bool has_stepped_up_from_here() noexcept;

// For a reset by an administrator. Afterwards no session of the login has stepped up, and no failed code is counted.
void reset(pg::RoleId login);
// Wall time until which no code is accepted; nullopt if the login is not locked.
[[nodiscard]] std::optional<std::int64_t> locked_until(pg::RoleId login);

// For the worker: writes accepted codes to the tables. Failures are retried at the next call.
void save_to_tables();
// For the worker, in a transaction: deletes rows of dropped logins, because an OID may be reused.
void delete_dropped_logins();

}  // namespace jit::second_factor_state
