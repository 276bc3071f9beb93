#include "jit_access/statements/missing_privileges.hpp"

#include <algorithm>
#include <utility>

#include "jit_access/enforcement/standing_privileges.hpp"
#include "jit_access/pg/relation.hpp"

extern "C" {
#include "access/sysattr.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
}

namespace jit::required_privileges {

namespace {

constexpr std::pair<pg::AclBits, const char*> privilege_names[] = {
    {ACL_SELECT, "SELECT"},     {ACL_INSERT, "INSERT"},         {ACL_UPDATE, "UPDATE"},   {ACL_DELETE, "DELETE"},
    {ACL_TRUNCATE, "TRUNCATE"}, {ACL_REFERENCES, "REFERENCES"}, {ACL_TRIGGER, "TRIGGER"}, {ACL_USAGE, "USAGE"}};

// ---- relations ------------------------------------------------------------------------------------------------------

// Column sets are numbered from FirstLowInvalidHeapAttributeNumber. Returns null for a whole-row reference.
const char* column_name(Oid relation, int member) {
    const auto number = static_cast<AttrNumber>(member + FirstLowInvalidHeapAttributeNumber);
    return number == InvalidAttrNumber ? nullptr : get_attname(relation, number, true);
}

// Returns the columns on which the privilege is missing, as " (card, total)". Returns an empty text if the privilege is
// missing on the whole relation, or if no single column has an access list.
std::string missing_columns(const pg::CheckedRelation& checked, pg::AclBits privilege) {
    const Bitmapset* columns = privilege == ACL_SELECT   ? checked.selected
                               : privilege == ACL_INSERT ? checked.inserted
                               : privilege == ACL_UPDATE ? checked.updated
                                                         : nullptr;
    if (!checked.column_privileges_suffice || bms_is_empty(columns) || !pg::has_column_privileges(checked.relation))
        return {};
    std::string list;
    for (int member = bms_next_member(columns, -1); member >= 0; member = bms_next_member(columns, member)) {
        auto single_column = checked;
        single_column.privileges = privilege;
        single_column.selected = single_column.inserted = single_column.updated =
            pg::call([member] { return bms_make_singleton(member); });
        if ((standing_privileges::find(single_column).privileges & privilege) != 0) continue;
        const char* name = pg::call([&] { return column_name(checked.relation, member); });
        if (name == nullptr) return {};
        list += (list.empty() ? " (" : ", ") + pg::quote(name);
    }
    return list.empty() ? list : list + ")";
}

// The relations behind a view are read with the privileges of the view's owner, so no grant to the reader helps.
std::string owner_suffix(const pg::CheckedRelation& checked) {
    if (!checked.owner || checked.owner == pg::current_user()) return {};
    return " (by " + pg::quote(pg::role_name(checked.owner).value_or("?")) + ", who owns the view)";
}

// ---- queries --------------------------------------------------------------------------------------------------------

struct Sequence {
    Oid relation;
    pg::AclBits any_of;
};

template <class Walk>
auto as_walker(Walk walk) {
    // Before 16 the walker is declared without parameters.
    return reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(walk));
}

template <class T>
T* palloc_copy(const T& value) {
    return new (palloc(sizeof(T))) T(value);
}

bool collect_function(Oid function, void* context) {
    auto* objects = static_cast<NamedObjects*>(context);
    objects->functions = list_append_unique_oid(objects->functions, function);
    return false;
}

// Collects the sequence of nextval(), currval() or setval() if it is a constant. Any one of the privileges in any_of is
// sufficient.
void collect_sequence(const FuncExpr* call, NamedObjects* objects) {
    pg::AclBits any_of = 0;
    switch (call->funcid) {
        case F_NEXTVAL: any_of = ACL_USAGE | ACL_UPDATE; break;
        case F_CURRVAL: any_of = ACL_USAGE | ACL_SELECT; break;
        case F_SETVAL_REGCLASS_INT8:
        case F_SETVAL_REGCLASS_INT8_BOOL: any_of = ACL_UPDATE; break;
        default: return;
    }
    const auto* argument = static_cast<const Node*>(linitial(call->args));
    if (!IsA(argument, Const) || reinterpret_cast<const Const*>(argument)->constisnull) return;
    const Oid relation = DatumGetObjectId(reinterpret_cast<const Const*>(argument)->constvalue);
    objects->sequences = lappend(objects->sequences, palloc_copy(Sequence{relation, any_of}));
}

void collect_schema(Oid schema, NamedObjects* objects) {
    if (OidIsValid(schema) && !isTempNamespace(schema))
        objects->schemas = list_append_unique_oid(objects->schemas, schema);
}

}  // namespace

void add(PrivilegeList& list, const std::string& privilege) {
    if (std::find(list.begin(), list.end(), privilege) == list.end()) list.push_back(privilege);
}

bool collect_checked(Node* node, void* context) {
    if (node == nullptr) return false;
    auto* objects = static_cast<NamedObjects*>(context);
    if (IsA(node, Query)) {
        auto* query = reinterpret_cast<Query*>(node);
        pg::for_each_checked_relation(query, [objects](const pg::CheckedRelation& checked) {
            objects->checked = lappend(objects->checked, palloc_copy(checked));
        });
        return query_tree_walker(query, as_walker(collect_checked), context, 0);
    }
    // The server checks no EXECUTE privilege for the input and output functions of a coercion.
    if (!IsA(node, CoerceViaIO)) check_functions_in_node(node, collect_function, context);
    if (IsA(node, FuncExpr)) collect_sequence(reinterpret_cast<FuncExpr*>(node), objects);
    return expression_tree_walker(node, as_walker(collect_checked), context);
}

bool collect_schemas(Node* node, void* context) {
    if (node == nullptr) return false;
    auto* objects = static_cast<NamedObjects*>(context);
    if (IsA(node, Query)) {
        auto* query = reinterpret_cast<Query*>(node);
        const ListCell* cell = nullptr;
        foreach (cell, query->rtable) {
            const auto* entry = lfirst_node(RangeTblEntry, cell);
            if (entry->rtekind == RTE_RELATION) collect_schema(get_rel_namespace(entry->relid), objects);
        }
        return query_tree_walker(query, as_walker(collect_schemas), context, 0);
    }
    if (IsA(node, FuncExpr) && reinterpret_cast<FuncExpr*>(node)->funcformat == COERCE_EXPLICIT_CALL)
        collect_schema(get_func_namespace(reinterpret_cast<FuncExpr*>(node)->funcid), objects);
    if (IsA(node, Aggref)) collect_schema(get_func_namespace(reinterpret_cast<Aggref*>(node)->aggfnoid), objects);
    return expression_tree_walker(node, as_walker(collect_schemas), context);
}

// Schemas are collected first, because the rewriter adds names that the user has not written.
void collect_query(Query* query, NamedObjects* objects) {
    collect_schemas(reinterpret_cast<Node*>(query), objects);
    const ListCell* cell = nullptr;
    foreach (cell, pg_rewrite_query(query)) {
        collect_checked(static_cast<Node*>(lfirst(cell)), objects);
    }
}

void add_missing(const pg::CheckedRelation& checked, PrivilegeList& missing) {
    const auto lacking = checked.privileges & ~standing_privileges::find(checked).privileges;
    for (const auto& [bit, name] : privilege_names)
        if ((lacking & bit) != 0)
            add(missing, name + missing_columns(checked, bit) + " ON " +
                             std::string(pg::relation_name(checked.relation)) + owner_suffix(checked));
}

void add_missing(const NamedObjects& objects, PrivilegeList& missing) {
    const auto me = pg::current_user().oid;
    const ListCell* cell = nullptr;
    foreach (cell, objects.schemas) {
        const Oid schema = lfirst_oid(cell);
        if (!pg::call([=] { return pg::may(NamespaceRelationId, schema, me, ACL_USAGE); }))
            add(missing, "USAGE ON SCHEMA " + pg::quote(pg::call([=] { return get_namespace_name(schema); })));
    }
    foreach (cell, objects.checked) {
        add_missing(*static_cast<const pg::CheckedRelation*>(lfirst(cell)), missing);
    }
    foreach (cell, objects.sequences) {
        const auto* sequence = static_cast<const Sequence*>(lfirst(cell));
        const auto standing =
            standing_privileges::find(
                {.relation = sequence->relation, .privileges = sequence->any_of, .column_privileges_suffice = false})
                .privileges;
        if ((standing & sequence->any_of) != 0) continue;
        add(missing, std::string((sequence->any_of & ACL_USAGE) != 0 ? "USAGE" : "UPDATE") + " ON SEQUENCE " +
                         std::string(pg::relation_name(sequence->relation)));
    }
    const pg::MinimalQuoting plain;
    foreach (cell, objects.functions) {
        const Oid function = lfirst_oid(cell);
        if (!pg::call([=] { return pg::may(ProcedureRelationId, function, me, ACL_EXECUTE); }))
            add(missing,
                std::string("EXECUTE ON FUNCTION ") + pg::call([=] { return format_procedure_qualified(function); }));
    }
}

}  // namespace jit::required_privileges
