// The journal as a file: preallocated, mapped by the postmaster, inherited by every process of the server.
//
// journal_directory/journal holds one page of header and then the ring (core/ring.hpp), which is mapped twice in a row.
// The header carries the UUID of this node, the secret of the stamps, how far the worker has read and where in
// the WAL the last decision is: where the file lies outside the data directory, that tells tables that were restored.
// The file knows the inode it was made on: a copy (base backup, cloned directory) is set aside under its own name and
// never continued, so no server replays another one's journal as its own.
//
// A journal that cannot be opened does not keep the server from starting: uses of grants are refused, nothing else.
#pragma once

#include <cstdint>
#include <string>

#include "jit_access/core/audit_record.hpp"
#include "jit_access/core/ring.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::journal {

// What the wall clock was ahead of the boot clock when the worker last looked; outlives the server.
struct ClockMark {
    std::int64_t offset;
    char boot_id[48];  // of the boot it was seen on; empty: never looked
};

// Called by the postmaster each time shared memory is made: at start and after a crash of a process. Never fails;
// fault() says what is wrong.
void open() noexcept;

[[nodiscard]] std::string directory();
[[nodiscard]] bool available() noexcept;
[[nodiscard]] const std::string& fault() noexcept;
// Only while available().
[[nodiscard]] core::Ring& ring() noexcept;
[[nodiscard]] core::Uuid node_id() noexcept;  // nil while there is no journal
[[nodiscard]] std::string node();             // the same as text
[[nodiscard]] ClockMark& clock_mark() noexcept;

// What this process has put on the journal is on the disk when this returns: one fsync for everybody who waits. After
// one that failed nobody can say what is on the disk, so every later one fails as well until the server is restarted.
// Throws journal_failed.
void make_durable();

// The worker has everything before this position in the table.
void mark_read(std::uint64_t position) noexcept;

// A commit that changed requests or grants, by its place in the WAL: tables that end before it are older than what this
// server has done (SharedState::last_decision_lsn). Once that has been seen to, the later ones are forgotten.
void note_commit(std::uint64_t position) noexcept;
void forget_later_commits(std::uint64_t position) noexcept;

// A power failure may leave the file behind what the tables have read of it: what is written there is taken for read.
// So after a boot nobody writes before the worker has compared the two; on the same boot the file is what it was.
[[nodiscard]] inline bool has_begun() noexcept {
    return shared_state->journal_accepts_writes.load(std::memory_order_acquire);
}
// The worker's, once after a start: the tables have read so many bytes more, and the journal goes on behind that.
void begin_after(std::uint64_t bytes) noexcept;

}  // namespace jit::journal
