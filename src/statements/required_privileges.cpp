#include "jit_access/statements/required_privileges.hpp"

#include <string_view>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/impersonation.hpp"
#include "jit_access/pg/version_shims.hpp"
#include "jit_access/statements/describe_command.hpp"
#include "jit_access/statements/guard_commands.hpp"
#include "jit_access/statements/guard_managed.hpp"
#include "jit_access/statements/missing_privileges.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "executor/execdesc.h"
#include "nodes/makefuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"
}

namespace jit::required_privileges {

namespace {

// Types of parameters ($1) are inferred, as for a statement prepared by a client.
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

// Returns the query that a command runs or explains; null if it has none.
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

// Returns the schema in which the command creates an object; InvalidOid if it creates none in a schema.
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

// Adds CREATE on the schema or database in which the command creates an object. Returns true if it creates one in a
// known place.
bool add_missing_create(const Node* command, PrivilegeList& missing) {
    const auto me = pg::current_user().oid;
    const auto on_database = [&](AclMode privilege, const char* name) {
        if (!pg::call([=] { return pg::may(DatabaseRelationId, MyDatabaseId, me, privilege); }))
            add(missing, std::string(name) + " ON DATABASE");
        return true;
    };
    if (IsA(command, CreateSchemaStmt)) return on_database(ACL_CREATE, "CREATE");
    // The schema is not looked up, because that would create the temporary schema.
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

// Adds USAGE on the schema of a relation whose qualified name is given as it appears in the record.
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

// Adds the privileges that the record would show for the command, without those that are standing. Returns true if the
// record would show objects for the command.
bool add_missing_objects(const PlannedStmt* planned, const char* text, PrivilegeList& missing) {
    // The objects are copied, because looking up a name may describe another statement.
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

// Wraps a utility command as the server does for ProcessUtility (pg_plan_queries() in src/backend/tcop/postgres.c).
PlannedStmt* as_planned(Query* query) {
    auto* planned = makeNode(PlannedStmt);
    planned->commandType = CMD_UTILITY;
    planned->canSetTag = true;
    planned->utilityStmt = query->utilityStmt;
    planned->stmt_location = query->stmt_location;
    planned->stmt_len = query->stmt_len;
    return planned;
}

// A command is checked in three ways: the query inside it, the objects that the record would show, and the place in
// which it creates something. A command to which none of them applies is `unknown`, never `allowed`.
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
