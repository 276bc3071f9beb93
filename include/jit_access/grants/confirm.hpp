// Confirmation decides which of the grants that are active in the tables are valid on this server. After a start,
// shared memory is empty, and a grant without a slot is refused. Only a grant that is confirmed here can be used again.
//
// The tables are copied by base backups and to standbys, and a restore sets them back in time. A grant therefore names
// the node that granted it, by the UUID of the node's journal. The journal is not copied: a copied file is renamed and
// not used (record/journal_file.hpp).
//
//      restart, crash          same node               confirmed, with the same deadline
//      hot standby             runs as a standby       confirmed while it follows; kept through promotion
//      restored backup, PITR,  another node            active: suspended and recorded, until an approver calls
//      cloned machine                                  jit_resume or jit_revoke; scheduled: lapsed
//      backup restored over    same node, but the      the same as in the case above
//      its own server          journal is newer
//
// The worker calls the first two functions, outside of a transaction. They log failures and do not throw.
#pragma once

#include <cstdint>

namespace jit::confirm {

// Called on a primary after shared memory was initialized. Returns false if a grant could not be read or locked. That
// grant stays refused, and the caller tries again later. Grants that are already confirmed are left unchanged.
[[nodiscard]] bool after_start();

// Called repeatedly on a standby: makes the slots match the replayed tables.
void follow_primary();

// Called in a transaction that resumes a suspended grant: gives the grant a slot and this node's UUID. The caller holds
// the lock on the request's row. Throws wrong_state when the temporary role is gone.
void resume(std::int64_t id);

}  // namespace jit::confirm
