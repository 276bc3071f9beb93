#include "jit_access/pg/sync_lock.hpp"

#include "jit_access/pg/server.hpp"

extern "C" {
#include "storage/lwlock.h"
}

namespace jit::pg {

namespace {

constexpr const char* tranche = "jit_access";

LWLock* the_lock() noexcept {
    static LWLock* lock = &GetNamedLWLockTranche(tranche)->lock;
    return lock;
}

}  // namespace

void request_sync_lock() { RequestNamedLWLockTranche(tranche, 1); }

bool lock_or_wait_for_sync() {
    return call([] { return LWLockAcquireOrWait(the_lock(), LW_EXCLUSIVE); });
}

void unlock_sync() noexcept { LWLockRelease(the_lock()); }

}  // namespace jit::pg
