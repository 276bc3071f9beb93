#include "jit_access/statements/required_privileges.hpp"

#include <algorithm>
#include <string_view>

#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/standing_privileges.hpp"
#include "jit_access/pg/impersonation.hpp"
#include "jit_access/pg/relation.hpp"
#include "jit_access/pg/version.hpp"
#include "jit_access/statements/describe_command.hpp"
#include "jit_access/statements/guard_commands.hpp"
#include "jit_access/statements/guard_managed.hpp"

extern "C" {
#include "access/sysattr.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "executor/execdesc.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/varlena.h"
}

namespace jit::required_privileges {

namespace {

using PrivilegeList = std::vector<std::string>;

constexpr std::pair<pg::AclBits, const char*> privilege_names[] = {
    {ACL_SELECT, "SELECT"},     {ACL_INSERT, "INSERT"},         {ACL_UPDATE, "UPDATE"},   {ACL_DELETE, "DELETE"},
    {ACL_TRUNCATE, "TRUNCATE"}, {ACL_REFERENCES, "REFERENCES"}, {ACL_TRIGGER, "TRIGGER"}, {ACL_USAGE, "USAGE"}};

// Each privilege once, in the order in which they are found.
void add(PrivilegeList& list, const std::string& privilege) {
    if (std::find(list.begin(), list.end(), privilege) == list.end()) list.push_back(privilege);
}

// ---- relations ------------------------------------------------------------------------------------------------------

const char* column_name(Oid relation, int member) {
    const auto number = static_cast<AttrNumber>(member + FirstLowInvalidHeapAttributeNumber);
    return number == InvalidAttrNumber ? nullptr : get_attname(relation, number, true);
}

// The columns on which the privilege is missing, as " (card, total)". Empty if the privilege is missing on the whole
// relation, or if no single column has an access list.
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

void add_missing(const pg::CheckedRelation& checked, PrivilegeList& missing) {
    const auto lacking = checked.privileges & ~standing_privileges::find(checked).privileges;
    for (const auto& [bit, name] : privilege_names)
        if ((lacking & bit) != 0)
            add(missing, name + missing_columns(checked, bit) + " ON " +
                             std::string(pg::relation_name(checked.relation)) + owner_suffix(checked));
}

// ---- queries --------------------------------------------------------------------------------------------------------

struct Sequence {
    Oid relation;
    pg::AclBits any_of;
};

// What a query names. A plain struct with palloc()ed lists, because an ERROR may leave a tree walker.
struct NamedObjects {
    List* checked = NIL;    // of pg::CheckedRelation
    List* sequences = NIL;  // of Sequence
    List* functions = NIL;
    List* schemas = NIL;
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

// nextval(), currval() and setval() with a constant sequence. Each needs any one of the privileges.
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

// Walks a query as it would run: with views expanded and policies added.
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

void collect_schema(Oid schema, NamedObjects* objects) {
    if (OidIsValid(schema) && !isTempNamespace(schema))
        objects->schemas = list_append_unique_oid(objects->schemas, schema);
}

// Walks a query as it was written: the schemas through which its names are found need USAGE.
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

void collect_query(Query* query, NamedObjects* objects) {
    collect_schemas(reinterpret_cast<Node*>(query), objects);
    const ListCell* cell = nullptr;
    foreach (cell, pg_rewrite_query(query)) {
        collect_checked(static_cast<Node*>(lfirst(cell)), objects);
    }
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

// ---- commands -------------------------------------------------------------------------------------------------------

Query* analyze_raw(RawStmt* raw, const char* text) {
    Oid* types = nullptr;
    int count = 0;
    return parse_analyze_varparams(raw, text, &types, &count, nullptr);
}

// Runs the body as the reader, if one is given, so that names are found in schemas which the user cannot use.
template <class Body>
Query* call_as(std::optional<pg::RoleId> reader, Body&& body) {
    std::optional<pg::Impersonate> impersonate;
    if (reader) impersonate.emplace(*reader, pg::Restricted::yes);
    return pg::call(body);
}

// The query that a command runs or explains; null if it has none.
Query* inner_query(Node* command, const char* text) {
    switch (nodeTag(command)) {
        case T_ExplainStmt: return castNode(Query, reinterpret_cast<ExplainStmt*>(command)->query);
        case T_CreateTableAsStmt: return castNode(Query, reinterpret_cast<CreateTableAsStmt*>(command)->query);
        case T_DeclareCursorStmt: return castNode(Query, reinterpret_cast<DeclareCursorStmt*>(command)->query);
        case T_CopyStmt: {
            auto* raw = makeNode(RawStmt);
            raw->stmt = reinterpret_cast<CopyStmt*>(command)->query;
            if (raw->stmt == nullptr) return nullptr;
            return analyze_raw(raw, text);
        }
        default: return nullptr;
    }
}

// The schema in which the command creates an object; InvalidOid if it creates none in a schema.
Oid schema_of_created(const Node* command) {
    const auto of_relation = [](const RangeVar* name) { return RangeVarGetCreationNamespace(name); };
    const auto of_names = [](List* names) {
        char* last = nullptr;
        return QualifiedNameGetCreationNamespace(names, &last);
    };
    switch (nodeTag(command)) {
        case T_CreateStmt: return of_relation(reinterpret_cast<const CreateStmt*>(command)->relation);
        case T_CreateForeignTableStmt:
            return of_relation(reinterpret_cast<const CreateForeignTableStmt*>(command)->base.relation);
        case T_CreateTableAsStmt: return of_relation(reinterpret_cast<const CreateTableAsStmt*>(command)->into->rel);
        case T_ViewStmt: return of_relation(reinterpret_cast<const ViewStmt*>(command)->view);
        case T_CreateSeqStmt: return of_relation(reinterpret_cast<const CreateSeqStmt*>(command)->sequence);
        case T_CompositeTypeStmt: return of_relation(reinterpret_cast<const CompositeTypeStmt*>(command)->typevar);
        case T_CreateEnumStmt: return of_names(reinterpret_cast<const CreateEnumStmt*>(command)->typeName);
        case T_CreateRangeStmt: return of_names(reinterpret_cast<const CreateRangeStmt*>(command)->typeName);
        case T_CreateDomainStmt: return of_names(reinterpret_cast<const CreateDomainStmt*>(command)->domainname);
        case T_CreateFunctionStmt: return of_names(reinterpret_cast<const CreateFunctionStmt*>(command)->funcname);
        case T_IndexStmt: {
            const Oid table = RangeVarGetRelid(reinterpret_cast<const IndexStmt*>(command)->relation, NoLock, true);
            return get_rel_namespace(table);
        }
        case T_AlterObjectSchemaStmt:
            return get_namespace_oid(reinterpret_cast<const AlterObjectSchemaStmt*>(command)->newschema, false);
        default: return InvalidOid;
    }
}

const RangeVar* created_relation(const Node* command) {
    switch (nodeTag(command)) {
        case T_CreateStmt: return reinterpret_cast<const CreateStmt*>(command)->relation;
        case T_CreateTableAsStmt: return reinterpret_cast<const CreateTableAsStmt*>(command)->into->rel;
        case T_CreateSeqStmt: return reinterpret_cast<const CreateSeqStmt*>(command)->sequence;
        case T_ViewStmt: return reinterpret_cast<const ViewStmt*>(command)->view;
        default: return nullptr;
    }
}

bool is_temporary(const RangeVar* name) noexcept {
    return name != nullptr && (name->relpersistence == RELPERSISTENCE_TEMP ||
                               (name->schemaname != nullptr && std::string_view(name->schemaname) == "pg_temp"));
}

// CREATE on the schema or database in which the command creates an object. True if it creates one in a known place.
bool add_missing_create(const Node* command, PrivilegeList& missing) {
    const auto me = pg::current_user().oid;
    const auto on_database = [&](AclMode privilege, const char* name) {
        if (!pg::call([=] { return pg::may(DatabaseRelationId, MyDatabaseId, me, privilege); }))
            add(missing, std::string(name) + " ON DATABASE");
        return true;
    };
    if (IsA(command, CreateSchemaStmt)) return on_database(ACL_CREATE, "CREATE");
    // Not looked up: that would create the temporary schema.
    if (is_temporary(created_relation(command))) return on_database(ACL_CREATE_TEMP, "TEMPORARY");
    const Oid schema = pg::call([command] { return schema_of_created(command); });
    if (!OidIsValid(schema)) return false;
    const std::string name = pg::quote(pg::call([schema] { return get_namespace_name(schema); }));
    if (!pg::call([=] { return pg::may(NamespaceRelationId, schema, me, ACL_USAGE); }))
        add(missing, "USAGE ON SCHEMA " + name);
    if (!pg::call([=] { return pg::may(NamespaceRelationId, schema, me, ACL_CREATE); }))
        add(missing, "CREATE ON SCHEMA " + name);
    return true;
}

constexpr std::pair<std::uint32_t, const char*> recorded_privilege_names[] = {
    {core::privilege_select, "SELECT"},
    {core::privilege_insert, "INSERT"},
    {core::privilege_update, "UPDATE"},
    {core::privilege_delete, "DELETE"},
    {core::privilege_truncate, "TRUNCATE"},
    {core::privilege_references, "REFERENCES"},
    {core::privilege_trigger, "TRIGGER"},
    {core::privilege_usage, "USAGE"},
    {core::privilege_owner, "OWNERSHIP"},
    {core::privilege_maintain, "MAINTAIN"},
    {core::privilege_lock, "UPDATE, DELETE or TRUNCATE"}};

// USAGE on the schema of a relation whose qualified name is given as the record has it.
void add_missing_schema(const std::string& name, PrivilegeList& missing) {
    const auto me = pg::current_user().oid;
    const Oid schema = pg::call([&]() -> Oid {
        const auto* parts = textToQualifiedNameList(cstring_to_text(name.c_str()));
        return list_length(parts) == 2 ? LookupNamespaceNoError(strVal(linitial(parts))) : InvalidOid;
    });
    if (OidIsValid(schema) &&
        !pg::call([=] { return isTempNamespace(schema) || pg::may(NamespaceRelationId, schema, me, ACL_USAGE); }))
        add(missing, "USAGE ON SCHEMA " + pg::quote(pg::call([=] { return get_namespace_name(schema); })));
}

// The privileges that the record would show for the command, without those that are standing. True if it has objects.
bool add_missing_objects(const PlannedStmt* planned, const char* text, PrivilegeList& missing) {
    // Copied: looking up a name may describe another statement.
    std::vector<std::pair<std::string, std::uint32_t>> lacking;
    bool has_objects = false;
    for (const auto& object : describe::command(planned, text).objects) {
        has_objects = true;
        lacking.emplace_back(object.name, object.privileges & ~object.own);
    }
    for (const auto& [name, privileges] : lacking) {
        if ((privileges & (core::privilege_create | core::privilege_execute)) == 0) add_missing_schema(name, missing);
        for (const auto& [bit, privilege] : recorded_privilege_names)
            if ((privileges & bit) != 0) add(missing, std::string(privilege) + " ON " + name);
    }
    return has_objects;
}

// Commands that need no privilege on any object.
bool needs_no_privilege(const Node* command) noexcept {
    switch (nodeTag(command)) {
        case T_VariableSetStmt:
        case T_VariableShowStmt:
        case T_TransactionStmt:
        case T_ConstraintsSetStmt:
        case T_NotifyStmt:
        case T_ListenStmt:
        case T_UnlistenStmt:
        case T_DiscardStmt:
        case T_FetchStmt:
        case T_ClosePortalStmt:
        case T_DeallocateStmt: return true;
        default: return false;
    }
}

PlannedStmt* as_planned(Query* query) {
    auto* planned = makeNode(PlannedStmt);
    planned->commandType = CMD_UTILITY;
    planned->canSetTag = true;
    planned->utilityStmt = query->utilityStmt;
    planned->stmt_location = query->stmt_location;
    planned->stmt_len = query->stmt_len;
    return planned;
}

Permission analyze_command(Query* query, const char* text, std::optional<pg::RoleId> reader, PrivilegeList& missing) {
    Node* command = query->utilityStmt;
    guard::check_command_under_grant(command);
    guard::check_managed_roles(command);
    if (IsA(command, CallStmt)) {
        NamedObjects objects;
        pg::call([&] {
            collect_checked(reinterpret_cast<Node*>(reinterpret_cast<CallStmt*>(command)->funcexpr), &objects);
        });
        pg::call([&] {
            collect_schemas(reinterpret_cast<Node*>(reinterpret_cast<CallStmt*>(command)->funcexpr), &objects);
        });
        add_missing(objects, missing);
        return Permission::allowed;
    }
    Query* inner = call_as(reader, [=] { return inner_query(command, text); });
    const bool has_query = inner != nullptr && inner->commandType != CMD_UTILITY;
    bool is_known = needs_no_privilege(command) || has_query;
    if (has_query) {
        NamedObjects objects;
        pg::call([&] { collect_query(static_cast<Query*>(copyObjectImpl(inner)), &objects); });
        add_missing(objects, missing);
    }
    if (!IsA(command, ExplainStmt)) is_known = add_missing_objects(as_planned(query), text, missing) || is_known;
    is_known = add_missing_create(command, missing) || is_known;
    return is_known ? Permission::allowed : Permission::unknown;
}

RawStmt* parse_single_statement(const std::string& statement) {
    const List* commands = pg::call([&] { return pg_parse_query(statement.c_str()); });
    if (list_length(commands) == 1) return linitial_node(RawStmt, commands);
    throw core::invalid("statement", list_length(commands) == 0 ? "It is empty." : "It is more than one statement.",
                        "Give every statement an element of its own.");
}

}  // namespace

void require_single_statement(const std::string& statement) { (void)parse_single_statement(statement); }

RequiredPrivileges analyze(const std::string& statement, std::optional<pg::RoleId> reader) {
    const char* text = statement.c_str();
    RawStmt* raw = parse_single_statement(statement);
    Query* query = call_as(reader, [=] { return analyze_raw(raw, text); });
    RequiredPrivileges answer;
    if (query->commandType == CMD_UTILITY) {
        answer.permission = analyze_command(query, text, reader, answer.missing);
    } else {
        NamedObjects objects;
        pg::call([&] { collect_query(query, &objects); });
        add_missing(objects, answer.missing);
    }
    if (!answer.missing.empty()) answer.permission = Permission::denied;
    return answer;
}

void append_missing(const QueryDesc* query, std::vector<std::string>& missing) {
    pg::for_each_checked_relation(query->plannedstmt,
                                  [&](const pg::CheckedRelation& checked) { add_missing(checked, missing); });
}

}  // namespace jit::required_privileges
