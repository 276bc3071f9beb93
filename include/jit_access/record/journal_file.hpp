// The journal as a file: preallocated, mapped by the postmaster, inherited by every process of the server.
//
// journal_directory/journal holds one page of header and then the ring (core/ring_buffer.hpp), which is mapped twice in
// a row. The header carries the UUID of this node, the secret that stamps are mixed with, how far the worker has read,
// and the WAL position of the last decision about a grant. If the file lies outside the data directory, that position
// shows whether the tables were restored from an older backup.
//
// The header also names the inode that the file was created on. A copy (base backup, cloned directory) has another
// inode. The copy is renamed, kept and never used, so no server processes the journal of another one as its own.
//
// A journal that cannot be opened does not keep the server from starting; only uses of grants are refused then.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include "jit_access/core/audit_record.hpp"
#include "jit_access/core/ring_buffer.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::journal {

// How far the wall clock was ahead of the boot clock when the worker last compared them. It is kept in the file, so
// that the worker notices a clock that was set while the server was down.
struct ClockMark {
    std::int64_t offset;  // microseconds
    char boot_id[48];     // boot on which they were compared; empty: never
};

// A grant that was ended before the tables were updated, see grants/revocation.hpp. It is kept in the file, so that
// neither a crash nor a full disk brings the grant back.
struct RevokedGrant {
    std::atomic<std::uint64_t> id;  // stored last; 0 = free
    std::atomic<std::uint32_t> by;  // OID of the login
    std::atomic<std::uint32_t> at;  // seconds since 2000-01-01 UTC
};
inline constexpr std::size_t max_revoked_grants = 192;

// Called by the postmaster each time shared memory is created: at start and after the crash of a process. Never fails;
// fault() says why the journal is not available.
void open() noexcept;

[[nodiscard]] std::string directory();
[[nodiscard]] bool available() noexcept;
[[nodiscard]] const std::string& fault() noexcept;
// This and the functions below need available(), except where noted.
[[nodiscard]] core::Ring& ring() noexcept;
[[nodiscard]] core::Uuid node_id() noexcept;  // nil without a journal; may be called then
[[nodiscard]] std::string node();             // the same as text
[[nodiscard]] ClockMark& clock_mark() noexcept;
// The highest ids assigned (record/identifier.hpp). May be called without a journal; the ids are then kept in shared
// memory only.
[[nodiscard]] std::array<std::atomic<std::uint64_t>, id_counter_count>& id_counters() noexcept;

// Notes that a grant is revoked, and returns when the note is on disk. Returns false if there is no journal, if there
// is no room, or if the disk fails. A grant that is already noted is not noted again.
[[nodiscard]] bool note_revocation(std::uint64_t grant, std::uint32_t by);
// The grants that are noted; entries with id 0 are free. Empty without a journal.
[[nodiscard]] std::span<RevokedGrant> revoked_grants() noexcept;

// Returns when everything that this process has appended is on disk. Processes that wait at the same time share one
// fdatasync. After a failed fdatasync the kernel may have dropped the dirty pages, so a later success would prove
// nothing. Every later call therefore fails until the server is restarted. Throws journal_failed.
void make_durable();

// Releases everything before this position to the writers. For the worker, after the position has been committed in the
// table.
void mark_read(std::uint64_t position) noexcept;

// Moves forward the WAL position of the last commit that changed requests or grants. If the tables end before that
// position, they are older than the last change of this server (SharedState::last_decision_lsn). May be called without
// a journal.
void advance_decision_lsn(std::uint64_t lsn) noexcept;
// Sets that position back, after restored tables have been handled. May be called without a journal.
void reset_decision_lsn(std::uint64_t lsn) noexcept;

// After a power failure the file may end before the position up to which its records are in the tables. New records
// that are written before that position would be skipped as if they were already in the tables. After a boot, nothing
// is therefore written until the worker has compared the file with the tables. Within one boot this is not needed,
// because the page cache keeps what was written.
[[nodiscard]] inline bool accepts_writes() noexcept {
    return shared_state->journal_accepts_writes.load(std::memory_order_acquire);
}
// For the worker: allows writes, once after a start. The position in the tables is `lost_bytes` beyond the end of the
// file; the journal continues at that position.
void start_writes_after(std::uint64_t lost_bytes) noexcept;

}  // namespace jit::journal
