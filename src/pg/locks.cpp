#include "jit_access/pg/locks.hpp"

#include "jit_access/pg/server.hpp"

extern "C" {
#include "storage/lwlock.h"
}

namespace jit::pg {

namespace {

constexpr const char* tranche = "jit_access";  // as pg_stat_activity.wait_event shows it

LWLock* sync_lock() noexcept {
    static LWLock* lock = &GetNamedLWLockTranche(tranche)[0].lock;
    return lock;
}

LWLock* factor_lock() noexcept {
    static LWLock* lock = &GetNamedLWLockTranche(tranche)[1].lock;
    return lock;
}

}  // namespace

void request_locks() { RequestNamedLWLockTranche(tranche, 2); }

bool acquire_sync_lock_or_wait() {
    return call([] { return LWLockAcquireOrWait(sync_lock(), LW_EXCLUSIVE); });
}

void release_sync_lock() noexcept { LWLockRelease(sync_lock()); }

SecondFactorLock::SecondFactorLock() {
    call([] { LWLockAcquire(factor_lock(), LW_EXCLUSIVE); });
}

SecondFactorLock::~SecondFactorLock() { LWLockRelease(factor_lock()); }

}  // namespace jit::pg
