// Locks in shared memory: of whoever writes to disk what many wait for, as the server's own for the WAL; and of what is
// known of second factors.
#pragma once

namespace jit::pg {

// While the library is preloaded; and where its shared memory is requested.
void request_locks();

// True: locked. False: somebody else had it and has let go; whether there is still something to do is to be looked at.
[[nodiscard]] bool acquire_sync_lock_or_wait();
void release_sync_lock() noexcept;

// Held for a moment, in which nothing may throw.
class SecondFactorLock {
public:
    SecondFactorLock();
    ~SecondFactorLock();
    SecondFactorLock(const SecondFactorLock&) = delete;
    SecondFactorLock& operator=(const SecondFactorLock&) = delete;
};

}  // namespace jit::pg
