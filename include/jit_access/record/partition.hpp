// The partitions of the record. Each is a stretch of the chain, by the numbers of its rows, and ends with a checkpoint;
// the last one is open, and the worker writes into it. When its month (jit_access.record_partition) is over, it is
// closed and a new one made; when it has become older than jit_access.record_retention, it is dropped, and the chain
// goes on with a record that says so (core/chain.hpp).
//
// The worker's, once a nap, each in a transaction of its own. Both need the table for a moment: where a reader is in
// the way they throw, and are tried again after the next nap.
#pragma once

namespace jit::partition {

void close_if_due();
// The oldest one, if it is due.
void drop_if_due();

}  // namespace jit::partition
