// Describes a query for the record: its command tag, its part of the text, the relations it touches and what it does
// with each of them. docs/record.md defines this for every kind of statement.
//
// Called before the query runs, in a transaction; may throw. The result is valid until the next statement is described.
// Allocates nothing once the names of the query's relations have been cached. A query in the statement cache is not
// described again.
#pragma once

#include "jit_access/enforcement/recorder.hpp"

struct QueryDesc;

namespace jit::describe {

[[nodiscard]] recorder::Statement query(const QueryDesc* query);

}  // namespace jit::describe
