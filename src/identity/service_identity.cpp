#include "jit_access/identity/service_identity.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"

namespace jit::service_identity {

namespace {
bool is_actor_process = false;
}

void become_actor() noexcept { is_actor_process = true; }
bool is_actor() noexcept { return is_actor_process; }

void require_canary(const std::string& template_name) {
    if (!is_actor_process || template_name == core::drill_template) return;
    throw core::Failure(core::Code::not_permitted, "a drill cannot use template \"" + template_name + "\"",
                        "It uses \"" + std::string(core::drill_template) + "\" only.");
}

}  // namespace jit::service_identity
