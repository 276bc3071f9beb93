// The partitions of the record. Each covers a range of sequence numbers and ends with a checkpoint. The last one is
// open: the worker writes into it. When its period (jit_access.record_partition) has ended, it is closed and a new one
// is created. When a partition is older than jit_access.record_retention it is dropped, and a record of the chain
// states that (core/chain.hpp).
//
// The worker calls both functions once in each nap, each in a transaction of its own. They lock the table for a moment.
// If a reader holds a lock on it, they throw, and the worker tries again after the next nap.
#pragma once

namespace jit::partition {

void close_if_due();
// Drops the oldest partition, if it is due.
void drop_if_due();

}  // namespace jit::partition
