#include "jit_access/api/support.hpp"

#include <string>

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/direct_call.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::api {

void require_loaded() {
    if (shared_state != nullptr) return;
    throw Failure(Code::not_loaded, "jit_access is not loaded",
                  "It is not in shared_preload_libraries, so nothing would enforce a deadline.",
                  "Add jit_access to shared_preload_libraries and restart the server.");
}

void require_primary() {
    require_loaded();
    if (pg::is_standby())
        throw Failure(Code::not_here, "this server is a standby",
                      "Requests and decisions are made on the primary; deadlines hold here as well.",
                      "Connect to the primary.");
}

// CREATE DATABASE ... TEMPLATE copies the tables of the control database, but the grants in the copy were not approved
// and the worker does not process them.
void require_control_database() {
    if (pg::in_control_database()) return;
    throw Failure(Code::not_here, "this is not the control database of jit_access",
                  "Database \"" + pg::database_name() + "\" has a copy of its tables, which has no effect.",
                  std::string("Connect to \"") + settings::database + "\".");
}

principal::Origin origin_of(FunctionCallInfo info) { return {pg::objection_to_call(info)}; }

Datum state_result(core::State state) { return pg::state_result(core::to_string(state)); }

}  // namespace jit::api
