// The transaction callbacks: the one place that orders the actions of the rooms below at the end of a transaction.
//
// The order matters. Before a commit, enforcement may still refuse the commit, and new grants become live in shared
// memory before their memberships become visible. After a commit, uses are closed first, then the session is released,
// then ended grants are applied to shared memory.
#pragma once

namespace jit::transaction {

void install();  // called once, by _PG_init()

}  // namespace jit::transaction
