#include "jit_access/statements/guard_expressions.hpp"

#include <algorithm>
#include <array>
#include <string_view>

extern "C" {
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace jit::guard {

namespace {

// This is true for volatile functions except the listed ones, and for functions that run a query given as text.
bool is_more_than_computing(Oid function, void*) {
    if (function >= FirstNormalObjectId) return false;
    constexpr std::array<std::string_view, 10> harmless = {"nextval",         "currval",         "lastval", "random",
                                                           "random_normal",   "gen_random_uuid", "uuidv4",  "uuidv7",
                                                           "clock_timestamp", "timeofday"};
    const std::string_view name(get_func_name(function));
    return name.find("_to_xml") != name.npos || (func_volatile(function) == PROVOLATILE_VOLATILE &&
                                                 std::find(harmless.begin(), harmless.end(), name) == harmless.end());
}

bool calls_side_effects(Node* node, void* context) {
    if (node == nullptr) return false;
    if (check_functions_in_node(node, is_more_than_computing, context)) return true;
    return expression_tree_walker(node, catalog::as_walker(calls_side_effects), context);
}

bool is_not_built_in(Oid function, void*) {
    return function >= FirstNormalObjectId || is_more_than_computing(function, nullptr);
}

// A coercion to a domain runs the checks of the domain.
bool uses_more_than_built_in(Node* node, void* context) {
    if (node == nullptr) return false;
    if (IsA(node, CoerceToDomain) && reinterpret_cast<CoerceToDomain*>(node)->resulttype >= FirstNormalObjectId)
        return true;
    if (check_functions_in_node(node, is_not_built_in, context)) return true;
    return expression_tree_walker(node, catalog::as_walker(uses_more_than_built_in), context);
}

// Null if there is no expression.
Node* expression(HeapTuple row, TupleDesc columns, AttrNumber column) {
    bool is_null = false;
    const Datum value = heap_getattr(row, column, columns, &is_null);
    return is_null ? nullptr : static_cast<Node*>(stringToNode(TextDatumGetCString(value)));
}

}  // namespace

bool has_side_effects(HeapTuple row, TupleDesc columns, AttrNumber column) {
    return calls_side_effects(expression(row, columns, column), nullptr);
}

bool is_built_in(HeapTuple row, TupleDesc columns, AttrNumber column) {
    return !uses_more_than_built_in(expression(row, columns, column), nullptr);
}

}  // namespace jit::guard
