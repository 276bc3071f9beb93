// Processes of the extension that act as a service identity: the actors of a drill (rehearsal/drill_actor.hpp).
//
// Their roles have the connection limit 0, which stops every client and no background process. So only a process that
// the extension started can be one. An actor asks and approves without a client that has sent a statement, against
// docs/adr/013-own-statement.md; in return it may touch the canary template alone.
#pragma once

#include <string>

namespace jit::service_identity {

// This process is an actor from here on.
void become_actor() noexcept;
[[nodiscard]] bool is_actor() noexcept;

// Throws not_permitted in an actor, for any template but the canary.
void require_canary(const std::string& template_name);

}  // namespace jit::service_identity
