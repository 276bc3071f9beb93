// Who has stepped up, and how often who was wrong: in shared memory, outside of any transaction, and in this session.
//
// A code that was accepted is accepted nowhere again, a wrong one stays counted, whatever becomes of the transaction
// that brought it. What the table has of it is written by the worker, afterwards. Shared memory begins empty: of
// secrets that are older, no code of the time before counts then, which is at most a minute. That is also why a start
// gives nobody guesses.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "jit_access/core/chain.hpp"
#include "jit_access/core/totp.hpp"
#include "jit_access/pg/role.hpp"

namespace jit::second_factor_state {

// A secret, as it is told from others: by random bytes of its seal. 0: none.
using SecretId = std::uint64_t;

// Codes of every step up to this one may have been accepted before this server could know: it has started since, or was
// a standby.
[[nodiscard]] std::uint64_t step_floor(pg::RoleId login, SecretId secret);
// Of one that is made now, no code was. False: there is no room.
[[nodiscard]] bool register_secret(pg::RoleId login, SecretId secret);
// Called where shared memory is made.
void initialize() noexcept;

[[nodiscard]] std::uint64_t current_step() noexcept;

enum class CodeResult : std::uint8_t { accepted, wrong, locked, no_room };

// One attempt of a login. `step`: that the code is of, if any; `last_step`: the last one that the table knows.
[[nodiscard]] CodeResult try_code(pg::RoleId login, SecretId secret, std::optional<std::uint64_t> step,
                                  std::uint64_t last_step);
// The same with a recovery code. `use` marks it as used in the table, and answers whether it was there unused: while
// nobody else can try it, because that may be old as soon as somebody else's use has been written down.
[[nodiscard]] CodeResult try_recovery_code(pg::RoleId login, const core::Digest& digest,
                                           const std::function<bool()>& use);

// This session has stepped up, until then by the boot clock.
void mark_session(pg::RoleId login, std::int64_t until);
// A new client has the session.
void clear_session_mark() noexcept;
// Whether this session has. For requests and decisions.
[[nodiscard]] bool has_stepped_up(pg::RoleId login) noexcept;
// Whether the login has, in this session or another one from the same address: a grant is used in databases where there
// is nothing to call, and in many sessions. Neither locks nor allocates.
[[nodiscard]] bool has_stepped_up_from_here() noexcept;

// An administrator has reset it: nobody has stepped up, no wrong code was counted.
void reset(pg::RoleId login);
// By the wall clock, while no code is accepted.
[[nodiscard]] std::optional<std::int64_t> locked_until(pg::RoleId login);

// The worker's: brings the tables up to date.
void save_to_tables();
// And takes away those of logins that were dropped.
void delete_dropped_logins();

}  // namespace jit::second_factor_state
