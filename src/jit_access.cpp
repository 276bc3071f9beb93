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
#include "jit_access/transaction.hpp"

extern "C" {

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init();

void _PG_init() {
    // Loaded into a single session nothing here could be kept; every SQL function says so.
    if (!process_shared_preload_libraries_in_progress) return;

    jit::settings::define();
    jit::hooks::install_shared_memory();
    jit::hooks::install();
    jit::pg::install_authentication_hook(jit::enforcement::note_client);
    jit::pg::on_membership_change([]() noexcept {
        jit::enforcement::invalidate();
        jit::standing_privileges::forget();
    });
    jit::pg::on_relation_change([](std::uint32_t relation) noexcept {
        jit::pg::forget_relation_names(relation);
        jit::standing_privileges::forget();
    });
    jit::transaction::install();
    jit::pg::register_worker("jit_worker_main");
}

}  // extern "C"
