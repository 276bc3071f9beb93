#include "jit_access/pg/invalidation.hpp"

#include "jit_access/pg/server.hpp"

extern "C" {
#include "storage/ipc.h"
#include "utils/inval.h"
#include "utils/syscache.h"
}

namespace jit::pg {

namespace {

void (*memberships_told)() noexcept = nullptr;
void (*relations_told)(std::uint32_t) noexcept = nullptr;

void on_role_change(Datum, int, uint32) { memberships_told(); }
void on_schema_change(Datum, int, uint32) { relations_told(0); }
void on_relation_change(Datum, Oid relation) { relations_told(relation); }
void on_exit(int, Datum told) { reinterpret_cast<void (*)() noexcept>(told)(); }

}  // namespace

void on_membership_change(void (*told)() noexcept) {
    memberships_told = told;
    // The same two caches by which the server drops its own conclusions about memberships (utils/adt/acl.c).
    CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, on_role_change, 0);
    CacheRegisterSyscacheCallback(AUTHOID, on_role_change, 0);
}

void on_relation_change(void (*told)(std::uint32_t) noexcept) {
    relations_told = told;
    CacheRegisterRelcacheCallback(on_relation_change, 0);
    CacheRegisterSyscacheCallback(NAMESPACEOID, on_schema_change, 0);
}

void on_session_end(void (*told)() noexcept) {
    call([told] { before_shmem_exit(on_exit, reinterpret_cast<Datum>(told)); });
}

}  // namespace jit::pg
