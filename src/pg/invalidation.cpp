#include "jit_access/pg/invalidation.hpp"

#include "jit_access/pg/server.hpp"

extern "C" {
#include "storage/ipc.h"
#include "utils/inval.h"
#include "utils/syscache.h"
}

namespace jit::pg {

namespace {

void (*membership_callback)() noexcept = nullptr;
void (*function_callback)() noexcept = nullptr;
void (*relation_callback)(std::uint32_t) noexcept = nullptr;

void role_changed(Datum, int, uint32) { membership_callback(); }
void function_changed(Datum, int, uint32) { function_callback(); }
// A renamed schema changes the names of all its relations.
void schema_changed(Datum, int, uint32) { relation_callback(0); }
void relation_changed(Datum, Oid relation) { relation_callback(relation); }
void on_exit(int, Datum callback) { reinterpret_cast<void (*)() noexcept>(callback)(); }

}  // namespace

void on_membership_change(void (*callback)() noexcept) {
    membership_callback = callback;
    // The server invalidates its own cache of memberships by callbacks on the same two caches (utils/adt/acl.c).
    CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, role_changed, 0);
    CacheRegisterSyscacheCallback(AUTHOID, role_changed, 0);
}

void on_relation_change(void (*callback)(std::uint32_t) noexcept) {
    relation_callback = callback;
    CacheRegisterRelcacheCallback(relation_changed, 0);
    CacheRegisterSyscacheCallback(NAMESPACEOID, schema_changed, 0);
}

void on_function_change(void (*callback)() noexcept) {
    function_callback = callback;
    CacheRegisterSyscacheCallback(PROCOID, function_changed, 0);
}

void on_session_end(void (*callback)() noexcept) {
    // The callback runs before shmem_exit, because it uses shared memory of the extension.
    call([callback] { before_shmem_exit(on_exit, reinterpret_cast<Datum>(callback)); });
}

}  // namespace jit::pg
