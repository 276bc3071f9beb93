// Keeps the TOAST tables of the extension from being read directly.
//
// Values that are too long for a page of their table are stored in a TOAST table, which has no row security of its own.
// Members of pg_read_all_data may read every TOAST table by its name in pg_toast, and would find the long statements of
// the record there. The server reads a TOAST table on behalf of its table without a query, so only queries are refused.
#pragma once

namespace jit::guard {

// Installs get_relation_info_hook, which the planner calls for each relation of a query. The hook throws
// `not_permitted` if the relation is the TOAST table of a table of the extension and the current user is not a
// superuser. For any other relation it makes one comparison.
void install_toast_guard();

}  // namespace jit::guard
