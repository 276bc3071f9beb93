// The two lightweight locks of the extension: the sync lock, for the process that writes the journal to disk while
// others wait, and the second-factor lock (shared/second_factor_state.hpp). No process holds both.
#pragma once

namespace jit::pg {

// Called by shmem_request_hook.
void request_locks();

// Does what LWLockAcquireOrWait() does. Returns true if this process holds the lock. Returns false if another process
// held it and has released it; the caller must then check again whether there is still something to do.
[[nodiscard]] bool acquire_sync_lock_or_wait();
void release_sync_lock() noexcept;

// Holds the second-factor lock. While it is held, nothing may throw and no SQL may run, because interrupts are held
// off.
class SecondFactorLock {
public:
    SecondFactorLock();
    ~SecondFactorLock();
    SecondFactorLock(const SecondFactorLock&) = delete;
    SecondFactorLock& operator=(const SecondFactorLock&) = delete;
};

}  // namespace jit::pg
