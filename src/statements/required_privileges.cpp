#include "jit_access/statements/required_privileges.hpp"

#include <algorithm>
#include <string_view>

#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/standing_privileges.hpp"
#include "jit_access/pg/impersonation.hpp"
#include "jit_access/pg/relation.hpp"
#include "jit_access/pg/version.hpp"
#include "jit_access/statements/describe.hpp"
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

using Missing = std::vector<std::string>;

constexpr std::pair<pg::AclBits, const char*> names[] = {
    {ACL_SELECT, "SELECT"},     {ACL_INSERT, "INSERT"},         {ACL_UPDATE, "UPDATE"},   {ACL_DELETE, "DELETE"},
    {ACL_TRUNCATE, "TRUNCATE"}, {ACL_REFERENCES, "REFERENCES"}, {ACL_TRIGGER, "TRIGGER"}, {ACL_USAGE, "USAGE"}};

void add(Missing& to, const std::string& what) {
    if (std::find(to.begin(), to.end(), what) == to.end()) to.push_back(what);
}

// ---- relations ------------------------------------------------------------------------------------------------------

const char* column_name(Oid relation, int member) {
    const auto number = static_cast<AttrNumber>(member + FirstLowInvalidHeapAttributeNumber);
    return number == InvalidAttrNumber ? nullptr : get_attname(relation, number, true);
}

// Where single columns have access lists, those that are lacking: " (card, total)".
std::string lacking_columns(const pg::CheckedRelation& checked, pg::AclBits privilege) {
    const Bitmapset* asked = privilege == ACL_SELECT   ? checked.selected
                             : privilege == ACL_INSERT ? checked.inserted
                             : privilege == ACL_UPDATE ? checked.updated
                                                       : nullptr;
    if (!checked.column_privileges_suffice || bms_is_empty(asked) || !pg::has_column_privileges(checked.relation))
        return {};
    std::string list;
    for (int member = bms_next_member(asked, -1); member >= 0; member = bms_next_member(asked, member)) {
        auto one = checked;
        one.privileges = privilege;
        one.selected = one.inserted = one.updated = pg::call([member] { return bms_make_singleton(member); });
        if ((standing_privileges::privileges(one).privileges & privilege) != 0) continue;
        const char* name = pg::call([&] { return column_name(checked.relation, member); });
        if (name == nullptr) return {};
        list += (list.empty() ? " (" : ", ") + pg::quote(name);
    }
    return list.empty() ? list : list + ")";
}

// A view is read with the privileges of its owner, which no grant to its reader changes.
std::string by_owner(const pg::CheckedRelation& checked) {
    if (!checked.owner || checked.owner == pg::current_user()) return {};
    return " (by " + pg::quote(pg::role_name(checked.owner).value_or("?")) + ", who owns the view)";
}

void add_missing(const pg::CheckedRelation& checked, Missing& missing) {
    const auto lacking = checked.privileges & ~standing_privileges::privileges(checked).privileges;
    for (const auto& [bit, name] : names)
        if ((lacking & bit) != 0)
            add(missing, name + lacking_columns(checked, bit) + " ON " +
                             std::string(pg::relation_name(checked.relation)) + by_owner(checked));
}

// ---- queries --------------------------------------------------------------------------------------------------------

struct Sequence {
    Oid relation;
    pg::AclBits any_of;
};

// What a query names, in plain memory: walkers are C.
struct Seen {
    List* checked = NIL;    // of pg::CheckedRelation
    List* sequences = NIL;  // of Sequence
    List* functions = NIL;
    List* schemas = NIL;
};

template <class Walk>
auto as_walker(Walk walk) {
    // Declared without parameters before 16.
    return reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(walk));
}

template <class T>
T* kept(const T& value) {
    return new (palloc(sizeof(T))) T(value);
}

bool see_function(Oid function, void* context) {
    auto* seen = static_cast<Seen*>(context);
    seen->functions = list_append_unique_oid(seen->functions, function);
    return false;
}

// nextval, currval and setval with their sequence as a constant.
void see_sequence(const FuncExpr* call, Seen* seen) {
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
    seen->sequences = lappend(seen->sequences, kept(Sequence{relation, any_of}));
}

// As it would run: views in place, policies added.
bool see(Node* node, void* context) {
    if (node == nullptr) return false;
    auto* seen = static_cast<Seen*>(context);
    if (IsA(node, Query)) {
        auto* query = reinterpret_cast<Query*>(node);
        pg::for_each_checked_relation(query, [seen](const pg::CheckedRelation& checked) {
            seen->checked = lappend(seen->checked, kept(checked));
        });
        return query_tree_walker(query, as_walker(see), context, 0);
    }
    // Functions of input and output are not asked about.
    if (!IsA(node, CoerceViaIO)) check_functions_in_node(node, see_function, context);
    if (IsA(node, FuncExpr)) see_sequence(reinterpret_cast<FuncExpr*>(node), seen);
    return expression_tree_walker(node, as_walker(see), context);
}

void see_schema(Oid schema, Seen* seen) {
    if (OidIsValid(schema) && !isTempNamespace(schema)) seen->schemas = list_append_unique_oid(seen->schemas, schema);
}

// As it was written: whose schemas are walked into.
bool see_names(Node* node, void* context) {
    if (node == nullptr) return false;
    auto* seen = static_cast<Seen*>(context);
    if (IsA(node, Query)) {
        auto* query = reinterpret_cast<Query*>(node);
        const ListCell* cell = nullptr;
        foreach (cell, query->rtable) {
            const auto* entry = lfirst_node(RangeTblEntry, cell);
            if (entry->rtekind == RTE_RELATION) see_schema(get_rel_namespace(entry->relid), seen);
        }
        return query_tree_walker(query, as_walker(see_names), context, 0);
    }
    if (IsA(node, FuncExpr) && reinterpret_cast<FuncExpr*>(node)->funcformat == COERCE_EXPLICIT_CALL)
        see_schema(get_func_namespace(reinterpret_cast<FuncExpr*>(node)->funcid), seen);
    if (IsA(node, Aggref)) see_schema(get_func_namespace(reinterpret_cast<Aggref*>(node)->aggfnoid), seen);
    return expression_tree_walker(node, as_walker(see_names), context);
}

void look_at(Query* query, Seen* seen) {
    see_names(reinterpret_cast<Node*>(query), seen);
    const ListCell* cell = nullptr;
    foreach (cell, pg_rewrite_query(query)) {
        see(static_cast<Node*>(lfirst(cell)), seen);
    }
}

void add_missing(const Seen& seen, Missing& missing) {
    const auto me = pg::current_user().oid;
    const ListCell* cell = nullptr;
    foreach (cell, seen.schemas) {
        const Oid schema = lfirst_oid(cell);
        if (!pg::call([=] { return pg::may(NamespaceRelationId, schema, me, ACL_USAGE); }))
            add(missing, "USAGE ON SCHEMA " + pg::quote(pg::call([=] { return get_namespace_name(schema); })));
    }
    foreach (cell, seen.checked) {
        add_missing(*static_cast<const pg::CheckedRelation*>(lfirst(cell)), missing);
    }
    foreach (cell, seen.sequences) {
        const auto* sequence = static_cast<const Sequence*>(lfirst(cell));
        const auto given =
            standing_privileges::privileges(
                {.relation = sequence->relation, .privileges = sequence->any_of, .column_privileges_suffice = false})
                .privileges;
        if ((given & sequence->any_of) != 0) continue;
        add(missing, std::string((sequence->any_of & ACL_USAGE) != 0 ? "USAGE" : "UPDATE") + " ON SEQUENCE " +
                         std::string(pg::relation_name(sequence->relation)));
    }
    const pg::MinimalQuoting plain;
    foreach (cell, seen.functions) {
        const Oid function = lfirst_oid(cell);
        if (!pg::call([=] { return pg::may(ProcedureRelationId, function, me, ACL_EXECUTE); }))
            add(missing,
                std::string("EXECUTE ON FUNCTION ") + pg::call([=] { return format_procedure_qualified(function); }));
    }
}

// ---- commands -------------------------------------------------------------------------------------------------------

Query* analysed(RawStmt* raw, const char* text) {
    Oid* types = nullptr;
    int count = 0;
    return parse_analyze_varparams(raw, text, &types, &count, nullptr);
}

// Names are looked up by somebody who may walk into every schema, if he is given.
template <class Body>
Query* read_as(std::optional<pg::RoleId> reader, Body&& body) {
    std::optional<pg::Impersonate> pretend;
    if (reader) pretend.emplace(*reader, pg::Restricted::yes);
    return pg::call(body);
}

// The query that a command runs or explains; null when it has none.
Query* query_of(Node* command, const char* text) {
    switch (nodeTag(command)) {
        case T_ExplainStmt: return castNode(Query, reinterpret_cast<ExplainStmt*>(command)->query);
        case T_CreateTableAsStmt: return castNode(Query, reinterpret_cast<CreateTableAsStmt*>(command)->query);
        case T_DeclareCursorStmt: return castNode(Query, reinterpret_cast<DeclareCursorStmt*>(command)->query);
        case T_CopyStmt: {
            auto* raw = makeNode(RawStmt);
            raw->stmt = reinterpret_cast<CopyStmt*>(command)->query;
            if (raw->stmt == nullptr) return nullptr;
            return analysed(raw, text);
        }
        default: return nullptr;
    }
}

// Where a command makes something; nothing for what is no part of a schema.
Oid schema_of_new(const Node* command) {
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

const RangeVar* new_relation(const Node* command) {
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

// True when it makes something whose place is known.
bool add_missing_place(const Node* command, Missing& missing) {
    const auto me = pg::current_user().oid;
    const auto on_database = [&](AclMode privilege, const char* name) {
        if (!pg::call([=] { return pg::may(DatabaseRelationId, MyDatabaseId, me, privilege); }))
            add(missing, std::string(name) + " ON DATABASE");
        return true;
    };
    if (IsA(command, CreateSchemaStmt)) return on_database(ACL_CREATE, "CREATE");
    // Its schema is made by looking for it.
    if (is_temporary(new_relation(command))) return on_database(ACL_CREATE_TEMP, "TEMPORARY");
    const Oid schema = pg::call([command] { return schema_of_new(command); });
    if (!OidIsValid(schema)) return false;
    const std::string name = pg::quote(pg::call([schema] { return get_namespace_name(schema); }));
    if (!pg::call([=] { return pg::may(NamespaceRelationId, schema, me, ACL_USAGE); }))
        add(missing, "USAGE ON SCHEMA " + name);
    if (!pg::call([=] { return pg::may(NamespaceRelationId, schema, me, ACL_CREATE); }))
        add(missing, "CREATE ON SCHEMA " + name);
    return true;
}

constexpr std::pair<std::uint32_t, const char*> command_names[] = {
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

// By its name, as the record has it.
void add_missing_schema(const std::string& name, Missing& missing) {
    const auto me = pg::current_user().oid;
    const Oid schema = pg::call([&]() -> Oid {
        const auto* parts = textToQualifiedNameList(cstring_to_text(name.c_str()));
        return list_length(parts) == 2 ? LookupNamespaceNoError(strVal(linitial(parts))) : InvalidOid;
    });
    if (OidIsValid(schema) &&
        !pg::call([=] { return isTempNamespace(schema) || pg::may(NamespaceRelationId, schema, me, ACL_USAGE); }))
        add(missing, "USAGE ON SCHEMA " + pg::quote(pg::call([=] { return get_namespace_name(schema); })));
}

// What the record would say of it. True when there is something.
bool add_missing_objects(const PlannedStmt* planned, const char* text, Missing& missing) {
    // Copied, because looking a name up may describe something else.
    std::vector<std::pair<std::string, std::uint32_t>> lacking;
    bool any = false;
    for (const auto& object : describe::command(planned, text).objects) {
        any = true;
        lacking.emplace_back(object.name, object.privileges & ~object.own);
    }
    for (const auto& [name, privileges] : lacking) {
        if ((privileges & (core::privilege_create | core::privilege_execute)) == 0) add_missing_schema(name, missing);
        for (const auto& [bit, privilege] : command_names)
            if ((privileges & bit) != 0) add(missing, std::string(privilege) + " ON " + name);
    }
    return any;
}

// What asks for no privilege of an object.
bool needs_nothing(const Node* command) noexcept {
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

Permission of_command(Query* query, const char* text, std::optional<pg::RoleId> reader, Missing& missing) {
    Node* command = query->utilityStmt;
    guard::check_under_grant(command);
    guard::check_managed(command);
    if (IsA(command, CallStmt)) {
        Seen seen;
        pg::call([&] { see(reinterpret_cast<Node*>(reinterpret_cast<CallStmt*>(command)->funcexpr), &seen); });
        pg::call([&] { see_names(reinterpret_cast<Node*>(reinterpret_cast<CallStmt*>(command)->funcexpr), &seen); });
        add_missing(seen, missing);
        return Permission::allowed;
    }
    Query* inner = read_as(reader, [=] { return query_of(command, text); });
    const bool has_query = inner != nullptr && inner->commandType != CMD_UTILITY;
    bool known = needs_nothing(command) || has_query;
    if (has_query) {
        Seen seen;
        pg::call([&] { look_at(static_cast<Query*>(copyObjectImpl(inner)), &seen); });
        add_missing(seen, missing);
    }
    if (!IsA(command, ExplainStmt)) known = add_missing_objects(as_planned(query), text, missing) || known;
    known = add_missing_place(command, missing) || known;
    return known ? Permission::allowed : Permission::unknown;
}

RawStmt* parse_one(const std::string& statement) {
    const List* commands = pg::call([&] { return pg_parse_query(statement.c_str()); });
    if (list_length(commands) == 1) return linitial_node(RawStmt, commands);
    throw core::invalid("statement", list_length(commands) == 0 ? "It is empty." : "It is more than one.",
                        "Give every statement an element of its own.");
}

}  // namespace

void require_one(const std::string& statement) { (void)parse_one(statement); }

RequiredPrivileges of(const std::string& statement, std::optional<pg::RoleId> reader) {
    const char* text = statement.c_str();
    RawStmt* raw = parse_one(statement);
    Query* query = read_as(reader, [=] { return analysed(raw, text); });
    RequiredPrivileges answer;
    if (query->commandType == CMD_UTILITY) {
        answer.permission = of_command(query, text, reader, answer.missing);
    } else {
        Seen seen;
        pg::call([&] { look_at(query, &seen); });
        add_missing(seen, answer.missing);
    }
    if (!answer.missing.empty()) answer.permission = Permission::denied;
    return answer;
}

void add_missing(const QueryDesc* query, std::vector<std::string>& missing) {
    pg::for_each_checked_relation(query->plannedstmt,
                                  [&](const pg::CheckedRelation& checked) { add_missing(checked, missing); });
}

}  // namespace jit::required_privileges
