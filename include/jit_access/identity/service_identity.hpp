// Processes of the extension that act as a service identity: the actors of a drill (rehearsal/drill_actor.hpp).
//
// The roles of actors have the connection limit 0, which keeps out every client, but not background processes. Only a
// process that the extension started can therefore be an actor. An actor makes requests and decisions without a
// statement sent by a client, as an exception to docs/adr/013-own-statement.md. In return, it may use only the canary
// template.
#pragma once

#include <string>

namespace jit::service_identity {

// Makes this process an actor until it exits.
void become_actor() noexcept;
[[nodiscard]] bool is_actor() noexcept;

// Throws not_permitted in an actor, for any template but the canary.
void require_canary(const std::string& template_name);

}  // namespace jit::service_identity
