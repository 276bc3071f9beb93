// Making a grant real: one temporary role, a handful of catalog rows, a slot on the shared_state; all in the
// transaction that decided. The number of tables of the template does not matter.
//
//      requester ──► jit_grant_42 ──► role of the template        inherit
//      requester ──► jit_gate_42 ──► jit_grant_42 ──► ...         set_role before PostgreSQL 16: the gate has
//      NOINHERIT, so
//                                                                 nothing is inherited through it but SET ROLE is
//                                                                 allowed
//      jit_login_42 ──► jit_grant_42                           login: see temporary_login.hpp
//                    jit_grant_42 ──► jit_marker                  how a backend recognises the role of a grant
#pragma once

#include "jit_access/core/policy.hpp"
#include "jit_access/grants/request.hpp"

namespace jit::provision {

// What the policy has allowed becomes real, if it still can. The clock starts here.
core::State activate(request::Request& request, const templates::Template& of, const core::Ruling& ruling,
                     const std::string& by);

[[nodiscard]] std::string grant_role_name(std::int64_t id);
[[nodiscard]] std::string gate_role_name(std::int64_t id);

}  // namespace jit::provision
