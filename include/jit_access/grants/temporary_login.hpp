// Templates of mode login: the grant has a temporary login of its own, for services whose login cannot be elevated.
//
// The login jit_login_42 is made with the grant and cannot log in until its requester asks for the password, which is
// shown once and kept by nobody; the server has its SCRAM verifier. It is valid to the deadline, has so many
// connections, and goes with the grant: its sessions are ended, used or not, and the role is dropped.
#pragma once

#include "jit_access/identity/principal.hpp"

namespace jit::temporary_login {

[[nodiscard]] std::string login_role_name(std::int64_t id);

// The role, as a member of the grant's; in the transaction that activates.
void create_login(std::int64_t id, const std::string& grant_role);

struct Credentials {
    std::string login;
    std::string password;
    pg::Instant valid_until;
};
// Once, to the requester, by a statement of his own.
[[nodiscard]] Credentials issue_credentials(std::int64_t id, const principal::Origin& origin);

// The deadline has moved.
void move_deadline(std::int64_t id, pg::Instant ends);

// Nobody logs in with it any more, nor goes on with a session of his. "Already gone" is success.
void disable_login(std::int64_t id);

}  // namespace jit::temporary_login
