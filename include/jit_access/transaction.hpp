// What happens at the end of a transaction: the one place that knows the order in which sessions, the record, commit
// actions and cached closures are told.
#pragma once

namespace jit::transaction {

void install();  // registers the transaction callbacks; from _PG_init

}  // namespace jit::transaction
