// Provisioning turns an allowed request into a grant, in the transaction that decides about the request. It creates one
// temporary role, a few catalog rows, and a slot in shared memory. The cost does not depend on the number of tables of
// the template.
//
//      requester ──► jit_grant_42 ──► template role          mode inherit; also set_role from PostgreSQL 16 on
//      requester ──► jit_gate_42 ──► jit_grant_42 ──► ...    mode set_role before 16
//      jit_login_42 ──► jit_grant_42 ──► ...                 mode login, see temporary_login.hpp
//                       jit_grant_42 ──► jit_marker          how a backend recognizes the role of a grant
//
// The gate is NOINHERIT: the requester inherits nothing through it, but may SET ROLE.
// An arrow points from a member to the role it is a member of.
#pragma once

#include "jit_access/core/policy.hpp"
#include "jit_access/grants/request.hpp"

namespace jit::provision {

// Activates the grant; its duration starts here. The caller holds the locks on the rows of the request and of its
// template, and has checked the ruling. The slot becomes live just before the commit. Throws wrong_state,
// privilege_refused or limit_exceeded if the grant can no longer be created. `actor` is for the record.
core::State activate(request::Request& request, const templates::Template& tmpl, const core::Ruling& ruling,
                     const std::string& actor);

[[nodiscard]] std::string grant_role_name(std::int64_t id);
[[nodiscard]] std::string gate_role_name(std::int64_t id);

}  // namespace jit::provision
