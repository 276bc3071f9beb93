// The end of a grant before its deadline. Access ends first, so that a failure of a later step cannot prolong it.
//
//      1. the revocation is noted in the journal's file, on disk (record/journal_file.hpp)
//      2. the slot is over: every backend refuses the grant, sessions that use it are stopped
//      3. the tables are changed, in the transaction of the user who revokes it, or in one of the worker
//
// Steps 1 and 2 need no lock, no room on a disk and no transaction id. So access ends even if the disk is full, the row
// is locked, or the transaction is rolled back. Before step 1, the caller's permission is checked, which reads tables
// and roles. If the lock table is full, a session that has not read roles since they last changed cannot do this, and
// jit_revoke fails with SQLSTATE 53200 (docs/threat-model.md).
//
// If step 3 fails, the worker retries it until it succeeds. A server that starts in the meantime does not confirm a
// grant that is noted (confirm.hpp). The note is removed when the end of the grant is in the tables and on disk.
#pragma once

#include <cstdint>
#include <string>

#include "jit_access/pg/sql.hpp"

namespace jit::revocation {

// Steps 1 and 2, for a live grant. Returns true if this call, or an earlier one for the same grant, has ended access;
// false for a grant that has no slot, which gives no access. If the journal has no room for the note or cannot be
// written, step 2 is taken without it, and a crash before step 3 would bring the grant back. Throws server errors only
// before step 1.
[[nodiscard]] bool end_access(std::int64_t id, pg::RoleId by);

// Whether step 1 or 2 has been taken and the worker has not yet found step 3 done. Needs no transaction.
[[nodiscard]] bool is_noted(std::int64_t id) noexcept;

// Takes step 3 for all grants that are noted, and removes the notes that are no longer needed. For the worker, outside
// of a transaction; failures are logged. A row that is locked is left for the next round, and a session that keeps it
// locked for long is terminated (blocking_session::end_holders_of_request()). Returns whether notes are left.
[[nodiscard]] bool apply_to_tables();

}  // namespace jit::revocation
