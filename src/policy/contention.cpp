#include "jit_access/policy/contention.hpp"

#include "jit_access/shared/blocking_session.hpp"

namespace jit::contention {

bool has_caps(const templates::Template& of) {
    return of.cool_down || of.person_at_once != 0 || of.person_per_day != 0 || of.template_at_once != 0 ||
           of.template_per_day != 0 || of.break_glass_per_day != 0;
}

void lock_for_caps(const templates::Template& of) {
    if (!has_caps(of)) return;
    const auto is_free = [&] {
        return pg::query_row("SELECT 1 FROM jit_access.template_cap_lock WHERE template_id = $1 FOR UPDATE SKIP LOCKED",
                             {of.id})
            .has_value();
    };
    (void)blocking_session::wait_or_end(is_free, [&] { blocking_session::end_holders_of_caps(of.id); });
    // An update, so that who looks through an older snapshot fails instead of missing a grant.
    pg::execute("UPDATE jit_access.template_cap_lock SET changes = changes + 1 WHERE template_id = $1", {of.id});
}

void lock_for_memberships(pg::RoleId in) {
    constexpr int longer_ms = 1000;
    if (!pg::lock_memberships_in(in, longer_ms)) blocking_session::end_holders_of_memberships(in);
}

}  // namespace jit::contention
