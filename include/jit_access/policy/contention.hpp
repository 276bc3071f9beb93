// Whose turn it is. Some things are changed by one transaction at a time: a request, a template, the memberships in a
// role. Who leaves his transaction open does not keep the others from what they need, an emergency or the end of a
// grant least of all: after a moment his session is ended.
#pragma once

#include "jit_access/policy/template.hpp"

namespace jit::contention {

// Whether other grants of it count.
[[nodiscard]] bool has_caps(const templates::Template& of);
// Others who make grants of a template that has caps wait here until this transaction is over.
void lock_for_caps(const templates::Template& of);

// Before memberships in a role are given or taken. From PostgreSQL 16 on that is one transaction's at a time, and every
// grant is a membership in its template's role and in the marker.
void lock_for_memberships(pg::RoleId in);

}  // namespace jit::contention
