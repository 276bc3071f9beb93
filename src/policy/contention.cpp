#include "jit_access/policy/contention.hpp"

#include <set>

#include "jit_access/shared/blocking_session.hpp"

namespace jit::contention {

bool has_caps(const templates::Template& tmpl) {
    return tmpl.cool_down || tmpl.person_at_once != 0 || tmpl.person_per_day != 0 || tmpl.template_at_once != 0 ||
           tmpl.template_per_day != 0 || tmpl.break_glass_per_day != 0;
}

void lock_for_caps(const templates::Template& tmpl) {
    if (!has_caps(tmpl)) return;
    const auto try_lock = [&] {
        return pg::query_row(R"sql(
                   SELECT 1 FROM jit_access.template_cap_lock
                   WHERE template_id = $1
                   FOR UPDATE SKIP LOCKED
               )sql",
                             {tmpl.id})
            .has_value();
    };
    (void)blocking_session::wait_or_end(try_lock, [&] { blocking_session::end_holders_of_caps(tmpl.id); });
    // A row lock alone is not enough: a REPEATABLE READ transaction with an older snapshot would get the lock and would
    // not see the grants created after its snapshot. The update makes such a transaction fail with a serialization
    // error.
    pg::execute("UPDATE jit_access.template_cap_lock SET changes = changes + 1 WHERE template_id = $1", {tmpl.id});
}

void lock_for_memberships(pg::RoleId role) {
    // This waits longer than for a row lock, because activations of busy templates queue here, and the session that
    // holds the lock is about to commit.
    constexpr int patience_ms = 1000;
    if (!pg::lock_memberships_in(role, patience_ms)) blocking_session::end_holders_of_memberships(role);
}

void lock_for_access_lists(const pg::TextArray& relations) {
    constexpr int patience_ms = 1000;
    std::set<pg::AccessList> lists;
    for (const auto& relation : relations)
        for (const auto& list : pg::access_lists_of(relation)) lists.insert(list);
    for (const auto& list : lists) {
        if (pg::lock_access_list(list, patience_ms)) continue;
        blocking_session::end_holders_of_access_list(list);
        pg::lock_access_list(list);
    }
}

}  // namespace jit::contention
