#include "jit_access/enforcement/effective_grants.hpp"
#include "jit_access/enforcement/recorder.hpp"
#include "jit_access/enforcement/standing_privileges.hpp"
#include "jit_access/hooks.hpp"
#include "jit_access/pg/client.hpp"
#include "jit_access/pg/invalidation.hpp"
#include "jit_access/pg/relation.hpp"
#include "jit_access/pg/server.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/worker.hpp"
#include "jit_access/statements/foreign_code.hpp"
#include "jit_access/transaction.hpp"

namespace {

void on_function_change() noexcept {
    jit::standing_privileges::invalidate_functions();
    jit::foreign_code::invalidate();
}

void on_membership_change() noexcept {
    jit::enforcement::invalidate();
    jit::standing_privileges::invalidate();
}

// The value 0 means that any relation may have changed.
void on_relation_change(std::uint32_t relation) noexcept {
    jit::pg::forget_relation_names(relation);
    jit::standing_privileges::invalidate();
}

}  // namespace

extern "C" {

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init();

void _PG_init() {
    // If the library is loaded only into a session, it enforces nothing, and every SQL function reports that.
    if (!process_shared_preload_libraries_in_progress) return;

    jit::settings::define();
    jit::hooks::install_shared_memory();
    jit::hooks::install();
    jit::transaction::install();
    jit::pg::install_authentication_hook(jit::enforcement::publish_client);
    jit::pg::on_membership_change(on_membership_change);
    jit::pg::on_relation_change(on_relation_change);
    jit::pg::on_function_change(on_function_change);
    jit::pg::register_worker("jit_worker_main");
}

}  // extern "C"
