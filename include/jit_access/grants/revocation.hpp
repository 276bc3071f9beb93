// The end of a grant before its deadline, in an order that nothing can stand in the way of.
//
//      1. the journal's file notes the grant, on disk (record/journal_file.hpp)
//      2. the slot is over: every backend refuses the grant, sessions that use it are stopped
//      3. the tables follow, in the transaction of the user who revokes it, or in one of the worker's
//
// The first two need no lock, no room on a disk and no transaction id, so access ends although the lock table or the
// disk is full, the row is locked, or the transaction is rolled back. If the third fails, the worker tries it until it
// succeeds. A server that is started meanwhile does not confirm a grant that is noted (confirm.hpp). The note is
// removed when the tables have the end on disk.
#pragma once

#include <cstdint>
#include <string>

#include "jit_access/pg/sql.hpp"

namespace jit::revocation {

// Steps 1 and 2, for a live grant. Returns whether access has ended by it, or by an earlier call for the same grant;
// false for a grant that has no slot, which gives no access. If the journal has no room for the note or cannot be
// written, a crash before step 3 would bring the grant back; everything else holds. Throws server errors before step 1.
[[nodiscard]] bool end_access(std::int64_t id, pg::RoleId by);

// Whether step 1 or 2 has been taken and step 3 has not been seen yet. Needs no transaction.
[[nodiscard]] bool is_noted(std::int64_t id) noexcept;

// Step 3 for all grants that are noted, and removal of the notes that are not needed any more. For the worker, outside
// of a transaction; failures are logged. A row that is locked is left for the next round, and the session that keeps it
// locked is ended (blocking_session::end_holders_of_request()). Returns whether notes are left.
[[nodiscard]] bool apply_to_tables();

}  // namespace jit::revocation
