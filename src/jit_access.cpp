#include "jit_access/audit.hpp"
#include "jit_access/enforce.hpp"
#include "jit_access/hooks.hpp"
#include "jit_access/own.hpp"
#include "jit_access/pending.hpp"
#include "jit_access/pg/callbacks.hpp"
#include "jit_access/pg/client.hpp"
#include "jit_access/pg/relation.hpp"
#include "jit_access/pg/server.hpp"
#include "jit_access/pg/worker.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/settings.hpp"

extern "C" {

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init();

void _PG_init() {
    // Loaded into a single session nothing here could be kept; every SQL function says so.
    if (!process_shared_preload_libraries_in_progress) return;

    jit::settings::define();
    jit::hooks::install_shared_memory();
    jit::hooks::install();
    jit::pg::watch_authentication(jit::enforce::note_client);
    jit::pg::when_memberships_change([]() noexcept {
        jit::enforce::invalidate();
        jit::own::forget();
    });
    jit::pg::when_relations_change([](std::uint32_t relation) noexcept {
        jit::pg::forget_relation_names(relation);
        jit::own::forget();
    });
    jit::pg::register_transaction_callbacks({.pre_commit = jit::pending::pre_commit,
                                             .pre_prepare = jit::pending::pre_prepare,
                                             .committed = jit::pending::committed,
                                             .aborted = jit::pending::aborted,
                                             .subtransaction_committed = jit::pending::subtransaction_committed,
                                             .subtransaction_aborted = jit::pending::subtransaction_aborted});
    jit::pg::register_worker("jit_worker_main");
}

}  // extern "C"
