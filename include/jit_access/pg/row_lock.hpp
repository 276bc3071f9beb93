// The transactions that have locked or changed a row, read from the row itself.
//
// pg_locks does not show them, because row locks are stored in the rows (src/backend/access/heap/README.tuplock). SQL
// shows xmax, but neither whether it is a transaction or a set of transactions (a MultiXact), nor to which transaction
// a subtransaction belongs. A single transaction creates a MultiXact if it locks a row and then changes it after a
// savepoint.
#pragma once

#include "jit_access/pg/sql.hpp"

namespace jit::pg {

// Returns the ids of those transactions that are in progress, as pg_locks shows them in `transactionid`. For a
// subtransaction, the id of the top-level transaction is returned, because the server drops the subtransaction's own
// lock when it is released. `row` is the ctid of a version of the row that is visible to this transaction. Throws
// server errors.
[[nodiscard]] TextArray lockers_of(RoleId relation, const std::string& row);

}  // namespace jit::pg
