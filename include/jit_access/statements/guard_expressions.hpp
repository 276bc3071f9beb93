// Examines the functions that a stored expression of a catalog row calls.
//
// Both are called inside pg::call(), with the column of the row that holds the expression as a node tree. A NULL column
// holds no expression.
#pragma once

#include "jit_access/statements/catalog_rows.hpp"

namespace jit::guard {

// Whether the expression calls a function of the server that does more than compute. Other functions are judged by
// their owner (guard_objects.hpp).
[[nodiscard]] bool has_side_effects(HeapTuple row, TupleDesc columns, AttrNumber column);

// Whether the expression uses nothing but functions and operators of the server that only compute.
[[nodiscard]] bool is_built_in(HeapTuple row, TupleDesc columns, AttrNumber column);

}  // namespace jit::guard
