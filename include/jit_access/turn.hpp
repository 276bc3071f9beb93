// Whose turn it is. Some things are changed by one transaction at a time: a request, a template, the memberships in a
// role. Who leaves his transaction open does not keep the others from what they need, an emergency or the end of a
// grant least of all: after a moment his session is ended.
#pragma once

#include "jit_access/pg/backend.hpp"
#include "jit_access/template.hpp"

namespace jit::turn {

inline constexpr int patience_ms = 100;

// Tries again and again; when that has not helped, ends who is in the way, and leaves it to the caller to wait.
template <class Try, class End>
[[nodiscard]] auto wait_or_end(Try try_it, End end, int patience = patience_ms) -> decltype(try_it()) {
    constexpr int step_ms = 10;
    for (int waited = 0; waited < patience; waited += step_ms) {
        if (auto got = try_it()) return got;
        pg::nap(step_ms);
    }
    end();
    return {};
}

// Whether other grants of it count.
[[nodiscard]] bool has_caps(const templates::Template& of);
// Others who make grants of a template that has caps wait here until this transaction is over.
void take_for_caps(const templates::Template& of);

// Before memberships in a role are given or taken. From PostgreSQL 16 on that is one transaction's at a time, and every
// grant is a membership in its template's role and in the marker.
void take_for_memberships(pg::RoleId in);

}  // namespace jit::turn
