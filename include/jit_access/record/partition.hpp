// The partitions of the record. Each covers a range of sequence numbers and ends with a checkpoint. The last one is
// open: the worker writes into it. When its period (jit_access.record_partition) is over it is closed and a new one is
// created. When a partition is older than jit_access.record_retention it is dropped, and a record of the chain states
// that (core/chain.hpp).
//
// Called once in each nap of the worker, in transactions of their own. Both lock the table for a moment; if a reader is
// in the way they throw, and are tried again after the next nap.
#pragma once

namespace jit::partition {

void close_if_due();
// Drops the oldest partition, if it is due.
void drop_if_due();

}  // namespace jit::partition
