// Which grants of the tables are really this server's. After a start nothing is on the board, and what is not on the
// board is refused; only what is confirmed here comes back.
//
// The tables travel: with base backups, to standbys, back in time. So a grant names the node that granted it, by the
// UUID of its journal, which does not travel (a copied journal is set aside, see journal.hpp).
//
//      restart, crash          same node               confirmed, with the same deadline
//      hot standby             runs as a standby       confirmed while it follows; kept through promotion
//      restored backup, PITR,  another node            suspended, and recorded; somebody decides: jit_resume or
//      cloned machine                                  jit_revoke; what was scheduled lapses
//      the same, in the place  same node, but the      the same
//      of its server           journal knows more
#pragma once

#include <cstdint>

namespace jit::confirm {

// On a primary, once after shared memory was made.
void after_start();

// On a standby, again and again: the board follows the replayed tables.
void follow_primary();

// In a transaction: puts a grant on the board that somebody has decided is good. Throws what speaks against it.
void resume(std::int64_t id);

}  // namespace jit::confirm
