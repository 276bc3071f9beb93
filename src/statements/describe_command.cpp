#include "jit_access/statements/describe_command.hpp"

#include "jit_access/pg/redact_secrets.hpp"
#include "jit_access/pg/relation.hpp"
#include "jit_access/statements/statement_objects.hpp"

extern "C" {
#include "access/xlog.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_rewrite.h"
#include "commands/dbcommands.h"
#include "commands/prepare.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteSupport.h"
#include "tcop/cmdtag.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
}

namespace jit::describe {

namespace {

using describe::add_relation;  // of an Oid, beside the overloads below

// ---- names ----------------------------------------------------------------------------------------------------------

bool is_in_other_database(const RangeVar* name) {
    return name->catalogname != nullptr && std::string_view(name->catalogname) != get_database_name(MyDatabaseId);
}

Oid find_relation(const RangeVar* name) {
    if (name == nullptr || is_in_other_database(name)) return InvalidOid;
    if (name->schemaname == nullptr) return RelnameGetRelid(name->relname);
    const Oid schema = LookupNamespaceNoError(name->schemaname);
    return OidIsValid(schema) ? get_relname_relid(name->relname, schema) : InvalidOid;
}

const char* as_typed(const RangeVar* name) {
    const char* here = quote_qualified_identifier(name->schemaname, name->relname);
    return is_in_other_database(name) ? psprintf("%s.%s", quote_identifier(name->catalogname), here) : here;
}

// A relation that does not exist is recorded under its name as written in the command.
void add_relation(const RangeVar* name, std::uint32_t privileges) {
    if (name == nullptr) return;
    const Oid relation = pg::call([=] { return find_relation(name); });
    const pg::MinimalQuoting plain;
    if (OidIsValid(relation))
        add_relation(relation, privileges);
    else
        objects.add(pg::call([=] { return as_typed(name); }), privileges);
}

void add_each(const List* names, std::uint32_t privileges) {
    const ListCell* cell = nullptr;
    foreach (cell, names) {
        add_relation(lfirst_node(RangeVar, cell), privileges);
    }
}

// A qualified name as a list of strings, of which the first `count` name the relation.
void add_relation(const List* pieces, int count, std::uint32_t privileges) {
    if (count < 1 || count > 3) return;
    const auto piece = [=](int from_end) {
        return from_end < count ? strVal(list_nth(pieces, count - 1 - from_end)) : nullptr;
    };
    RangeVar name{};
    name.type = T_RangeVar;
    name.relname = piece(0);
    name.schemaname = piece(1);
    name.catalogname = piece(2);
    add_relation(&name, privileges);
}

// The schema in which a new relation will be created.
const char* schema_for(const RangeVar* name) {
    if (name->schemaname != nullptr) return name->schemaname;
    if (name->relpersistence == RELPERSISTENCE_TEMP) return "pg_temp";
    // If pg_temp comes first in search_path, fetch_search_path() creates the temporary schema, which is not possible in
    // a read-only transaction or on a standby.
    if (XactReadOnly || RecoveryInProgress()) return nullptr;
    const List* path = fetch_search_path(false);
    return path != NIL ? get_namespace_name(linitial_oid(path)) : nullptr;
}

void add_created(const RangeVar* name) {
    const pg::MinimalQuoting plain;
    objects.add(pg::call([=] { return quote_qualified_identifier(schema_for(name), name->relname); }),
                core::privilege_create);
}

void add_function(Oid function) {
    const pg::MinimalQuoting plain;
    objects.add(pg::call([=] { return format_procedure_qualified(function); }), core::privilege_execute);
}

// ---- queries inside commands ----------------------------------------------------------------------------------------

// The relations that an unplanned query checks and the privileges on each: two lists of one length. A plain struct with
// palloc()ed lists, because an ERROR leaves a tree walker without running destructors.
struct CheckedRelations {
    List* relations = NIL;
    List* privileges = NIL;
};

// Returns the query of a view or materialized view; null for anything else.
Query* query_behind(Oid relation) {
    HeapTuple rule = SearchSysCache2(RULERELNAME, ObjectIdGetDatum(relation), CStringGetDatum(ViewSelectRuleName));
    if (!HeapTupleIsValid(rule)) return nullptr;
    bool is_null = false;
    const Datum action = SysCacheGetAttr(RULERELNAME, rule, Anum_pg_rewrite_ev_action, &is_null);
    auto* queries = static_cast<List*>(stringToNode(TextDatumGetCString(action)));
    ReleaseSysCache(rule);
    return linitial_node(Query, queries);
}

// Tree walker. Collects subqueries and the relations behind views as well.
bool collect(Node* node, void* context) {
    if (node == nullptr) return false;
    // Before 16 the walker is declared without parameters.
    auto* const walker = reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(collect));
    if (!IsA(node, Query)) return expression_tree_walker(node, walker, context);
    auto* query = reinterpret_cast<Query*>(node);
    auto* checked_relations = static_cast<CheckedRelations*>(context);
    pg::for_each_checked_relation(query, [=](const pg::CheckedRelation& checked) {
        const bool is_listed = list_member_oid(checked_relations->relations, checked.relation);
        checked_relations->relations = lappend_oid(checked_relations->relations, checked.relation);
        checked_relations->privileges =
            lappend_int(checked_relations->privileges,
                        static_cast<int>(recorded_privileges(static_cast<AclMode>(checked.privileges))));
        if (!is_listed && get_rel_relkind(checked.relation) == RELKIND_VIEW)
            collect(reinterpret_cast<Node*>(query_behind(checked.relation)), checked_relations);
    });
    return query_tree_walker(query, walker, context, 0);
}

CheckedRelations collect_relations(Query* query) {
    CheckedRelations checked_relations;
    collect(reinterpret_cast<Node*>(query), &checked_relations);
    return checked_relations;
}

void add_relations(const CheckedRelations& checked_relations) {
    for (int i = 0; i < list_length(checked_relations.relations); ++i)
        add_relation(list_nth_oid(checked_relations.relations, i),
                     static_cast<std::uint32_t>(list_nth_int(checked_relations.privileges, i)));
}

// ---- objects of each command ----------------------------------------------------------------------------------------

bool is_relation(ObjectType type) noexcept {
    return type == OBJECT_TABLE || type == OBJECT_INDEX || type == OBJECT_SEQUENCE || type == OBJECT_VIEW ||
           type == OBJECT_MATVIEW || type == OBJECT_FOREIGN_TABLE;
}

// Whether objects of this type are named by their relation and a name of their own.
bool belongs_to_relation(ObjectType type) noexcept {
    return type == OBJECT_COLUMN || type == OBJECT_TRIGGER || type == OBJECT_RULE || type == OBJECT_POLICY ||
           type == OBJECT_TABCONSTRAINT;
}

void add_owned_object(ObjectType type, const Node* name) {
    if (!is_relation(type) && !belongs_to_relation(type)) return;
    const auto* pieces = reinterpret_cast<const List*>(name);
    add_relation(pieces, list_length(pieces) - (belongs_to_relation(type) ? 1 : 0), core::privilege_owner);
}

void add_objects(const DropStmt* drop) {
    const ListCell* cell = nullptr;
    foreach (cell, drop->objects) {
        add_owned_object(drop->removeType, static_cast<const Node*>(lfirst(cell)));
    }
}

// Adds the tables that foreign keys reference, and those named in LIKE.
void add_referenced(const Node* element) {
    if (element == nullptr) return;
    if (IsA(element, Constraint))
        add_relation(reinterpret_cast<const Constraint*>(element)->pktable, core::privilege_references);
    if (IsA(element, TableLikeClause))
        add_relation(reinterpret_cast<const TableLikeClause*>(element)->relation, core::privilege_select);
    if (!IsA(element, ColumnDef)) return;
    const ListCell* cell = nullptr;
    foreach (cell, reinterpret_cast<const ColumnDef*>(element)->constraints) {
        add_referenced(static_cast<const Node*>(lfirst(cell)));
    }
}

void add_objects(const CreateStmt* create) {
    add_created(create->relation);
    add_each(create->inhRelations, core::privilege_owner);
    const ListCell* cell = nullptr;
    foreach (cell, create->tableElts) {
        add_referenced(static_cast<const Node*>(lfirst(cell)));
    }
}

void add_objects(const AlterTableStmt* alter) {
    add_relation(alter->relation, core::privilege_owner);
    const ListCell* cell = nullptr;
    foreach (cell, alter->cmds) {
        const Node* definition = lfirst_node(AlterTableCmd, cell)->def;
        add_referenced(definition);
        if (definition == nullptr) continue;
        if (IsA(definition, PartitionCmd))
            add_relation(reinterpret_cast<const PartitionCmd*>(definition)->name, core::privilege_owner);
        if (IsA(definition, RangeVar))
            add_relation(reinterpret_cast<const RangeVar*>(definition), core::privilege_owner);
    }
}

void add_objects(const TruncateStmt* truncate) {
    add_each(truncate->relations, core::privilege_truncate);
    if (truncate->behavior != DROP_CASCADE) return;
    const List* all = pg::call([=] {
        List* relations = NIL;
        const ListCell* cell = nullptr;
        foreach (cell, truncate->relations) {
            const Oid relation = find_relation(lfirst_node(RangeVar, cell));
            if (OidIsValid(relation)) relations = list_append_unique_oid(relations, relation);
        }
        // TRUNCATE ... CASCADE includes the tables that reference these, and so on (ExecuteTruncate() in tablecmds.c).
        for (List* referencing = relations; referencing != NIL; relations = list_concat(relations, referencing))
            referencing = heap_truncate_find_FKs(relations);
        return relations;
    });
    const ListCell* cell = nullptr;
    foreach (cell, all) {
        add_relation(lfirst_oid(cell), core::privilege_truncate);
    }
}

// LOCK TABLE on a view locks the relations behind it as well (LockViewRecurse() in src/backend/commands/lockcmds.c).
void add_objects(const LockStmt* lock) {
    add_each(lock->relations, core::privilege_lock);
    const ListCell* cell = nullptr;
    foreach (cell, lock->relations) {
        const auto* name = lfirst_node(RangeVar, cell);
        const CheckedRelations checked = pg::call([=] { return collect_relations(query_behind(find_relation(name))); });
        const ListCell* relation = nullptr;
        foreach (relation, checked.relations) {
            add_relation(lfirst_oid(relation), core::privilege_lock);
        }
    }
}

void add_objects(const VacuumStmt* vacuum) {
    const ListCell* cell = nullptr;
    foreach (cell, vacuum->rels) {
        add_relation(lfirst_node(VacuumRelation, cell)->relation, core::privilege_maintain);
    }
}

// The query runs as the owner of the view. The owner might not be using a grant, in which case the executor hooks do
// not record the query.
void add_objects(const RefreshMatViewStmt* refresh) {
    add_relation(refresh->relation, core::privilege_maintain);
    add_relations(pg::call([=] { return collect_relations(query_behind(find_relation(refresh->relation))); }));
}

// Without ANALYZE the query does not run, so it is not recorded on its own; the server still checks its privileges.
void add_objects(const ExplainStmt* explain) {
    auto* query = castNode(Query, explain->query);
    Node* command = query->utilityStmt;
    if (command != nullptr && IsA(command, CreateTableAsStmt))
        query = castNode(Query, reinterpret_cast<CreateTableAsStmt*>(command)->query);
    if (command != nullptr && IsA(command, DeclareCursorStmt))
        query = castNode(Query, reinterpret_cast<DeclareCursorStmt*>(command)->query);
    add_relations(pg::call([=] { return collect_relations(query); }));
}

template <class Command>
const Command* as(const Node* command) noexcept {
    return reinterpret_cast<const Command*>(command);
}

void add_objects(const GrantStmt* grant) {
    if (grant->targtype == ACL_TARGET_OBJECT && (grant->objtype == OBJECT_TABLE || grant->objtype == OBJECT_SEQUENCE))
        add_each(grant->objects, core::privilege_owner);
}

// The grammar accepts any FROM clause, but the command later refuses everything except a relation.
void add_objects(const CreateStatsStmt* statistics) {
    const ListCell* cell = nullptr;
    foreach (cell, statistics->relations) {
        const auto* from = static_cast<const Node*>(lfirst(cell));
        if (IsA(from, RangeVar)) add_relation(as<RangeVar>(from), core::privilege_owner);
    }
}

void add_objects(const CopyStmt* copy) {
    add_relation(copy->relation, copy->is_from ? core::privilege_insert : core::privilege_select);
}

// Commands that are not listed touch no relation and no function by themselves.
void add_objects(const Node* command) {
    using enum core::Privilege;
    switch (nodeTag(command)) {
        case T_CopyStmt: return add_objects(as<CopyStmt>(command));
        case T_TruncateStmt: return add_objects(as<TruncateStmt>(command));
        case T_LockStmt: return add_objects(as<LockStmt>(command));
        case T_VacuumStmt: return add_objects(as<VacuumStmt>(command));
        case T_ClusterStmt: return add_relation(as<ClusterStmt>(command)->relation, privilege_maintain);
        case T_ReindexStmt: return add_relation(as<ReindexStmt>(command)->relation, privilege_maintain);
        case T_RefreshMatViewStmt: return add_objects(as<RefreshMatViewStmt>(command));
        case T_ExplainStmt: return add_objects(as<ExplainStmt>(command));
        case T_GrantStmt: return add_objects(as<GrantStmt>(command));
        case T_CallStmt: return add_function(as<CallStmt>(command)->funcexpr->funcid);
        case T_CreateStmt: return add_objects(as<CreateStmt>(command));
        case T_CreateForeignTableStmt: return add_objects(&as<CreateForeignTableStmt>(command)->base);
        case T_CreateTableAsStmt: return add_created(as<CreateTableAsStmt>(command)->into->rel);
        case T_ViewStmt: return add_created(as<ViewStmt>(command)->view);
        case T_CreateSeqStmt: return add_created(as<CreateSeqStmt>(command)->sequence);
        case T_AlterSeqStmt: return add_relation(as<AlterSeqStmt>(command)->sequence, privilege_owner);
        case T_AlterTableStmt: return add_objects(as<AlterTableStmt>(command));
        case T_RenameStmt: return add_relation(as<RenameStmt>(command)->relation, privilege_owner);
        case T_AlterObjectSchemaStmt:
            return add_relation(as<AlterObjectSchemaStmt>(command)->relation, privilege_owner);
        case T_DropStmt: return add_objects(as<DropStmt>(command));
        case T_CommentStmt:
            return add_owned_object(as<CommentStmt>(command)->objtype, as<CommentStmt>(command)->object);
        case T_SecLabelStmt:
            return add_owned_object(as<SecLabelStmt>(command)->objtype, as<SecLabelStmt>(command)->object);
        case T_IndexStmt: return add_relation(as<IndexStmt>(command)->relation, privilege_owner);
        case T_CreateTrigStmt: return add_relation(as<CreateTrigStmt>(command)->relation, privilege_trigger);
        case T_RuleStmt: return add_relation(as<RuleStmt>(command)->relation, privilege_owner);
        case T_CreatePolicyStmt: return add_relation(as<CreatePolicyStmt>(command)->table, privilege_owner);
        case T_AlterPolicyStmt: return add_relation(as<AlterPolicyStmt>(command)->table, privilege_owner);
        case T_CreateStatsStmt: return add_objects(as<CreateStatsStmt>(command));
        default: return;
    }
}

// EXECUTE may pass a one-time code to a prepared statement. The text of EXECUTE does not show that the argument is a
// code.
bool gives_code_to_prepared(const Node* command) {
    if (!IsA(command, ExecuteStmt)) return false;
    const char* name = as<ExecuteStmt>(command)->name;
    const char* text = pg::call([=]() -> const char* {
        const auto* prepared = FetchPreparedStatement(name, false);
        return prepared != nullptr ? prepared->plansource->query_string : nullptr;
    });
    return text != nullptr && pg::may_hold_code(text);
}

}  // namespace

recorder::Statement command(const PlannedStmt* command, const char* source, ParamListInfo parameters) {
    objects.clear();
    add_objects(command->utilityStmt);
    const auto text = statement_text(source, command->stmt_location, command->stmt_len);
    const bool gives_code = gives_code_to_prepared(command->utilityStmt);
    return {.key = command,
            .tag = GetCommandTagName(CreateCommandTag(command->utilityStmt)),
            .text = gives_code ? pg::redact_literals(text) : pg::redact_secrets(text),
            .parameters = gives_code ? std::string_view() : bound_parameters(parameters, source),
            .objects = objects.stored(),
            .object_count = objects.count(),
            .is_nested = runs_without_portal()};
}

const void* function_call_key() noexcept { return &objects; }

recorder::Statement function_call(std::uint32_t function) {
    objects.clear();
    add_function(function);
    const char* name = pg::call([=] { return get_func_name(function); });
    return {.key = function_call_key(),
            .tag = "FUNCTION CALL",
            .text = name != nullptr ? name : "",
            .objects = objects.stored(),
            .object_count = objects.count()};
}

}  // namespace jit::describe
