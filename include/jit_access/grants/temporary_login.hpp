// Temporary logins: a grant of a template in mode login has a login of its own, for services that cannot use their own
// login.
//
// The role jit_login_<id> is created with the grant and cannot log in until its requester calls jit_credentials(). That
// function shows a random password once; only its SCRAM verifier is stored. The login is valid until the deadline and
// has a connection limit. At the end of the grant its sessions are terminated, whether or not they used a privilege of
// the grant, and the role is dropped.
//
// All functions run SQL in the transaction of the caller, who holds the lock on the request's row.
#pragma once

#include "jit_access/identity/principal.hpp"

namespace jit::temporary_login {

[[nodiscard]] std::string login_role_name(std::int64_t id);

// Creates the role as a member of the grant's role, without a password. Called at activation.
void create_login(std::int64_t id, const std::string& grant_role);

struct Credentials {
    std::string login;
    std::string password;
    pg::Instant valid_until;
};
// Called by the requester, once, in a statement of the requester's own; locks the request's row. Throws not_permitted,
// wrong_state or second_factor_required.
[[nodiscard]] Credentials issue_credentials(std::int64_t id, const principal::Origin& origin);

// Extends the login together with its grant. Does nothing if the grant has no login.
void move_deadline(std::int64_t id, pg::Instant ends);

// Removes the password and the right to log in, and terminates the sessions of the login. A login that no longer exists
// counts as success.
void disable_login(std::int64_t id);

}  // namespace jit::temporary_login
