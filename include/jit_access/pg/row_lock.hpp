// The transactions that have locked or changed a row, as the row itself says.
//
// pg_locks does not tell: row locks are in the rows (src/backend/access/heap/README.tuplock). SQL shows xmax, but not
// whether it is a transaction or a set of them (a MultiXact), which a transaction makes of itself by locking a row and
// changing it in a savepoint, nor to which transaction a subtransaction belongs.
#pragma once

#include "jit_access/pg/sql.hpp"

namespace jit::pg {

// Ids of those that are in progress, as pg_locks shows them in `transactionid`: of a subtransaction, which loses its
// own lock when it is released, the top-level transaction. `row` is the ctid of a version of the row that is visible to
// this transaction. Throws server errors.
[[nodiscard]] TextArray lockers_of(RoleId relation, const std::string& row);

}  // namespace jit::pg
