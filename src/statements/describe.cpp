#include "jit_access/statements/describe.hpp"

#include "jit_access/enforcement/standing_privileges.hpp"
#include "jit_access/pg/redact_secrets.hpp"
#include "jit_access/pg/relation.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/version.hpp"
#include "jit_access/statements/statement_cache.hpp"

extern "C" {
#include "access/xlog.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_rewrite.h"
#include "commands/dbcommands.h"
#include "executor/execdesc.h"
#include "nodes/nodeFuncs.h"
#include "nodes/params.h"
#include "rewrite/rewriteSupport.h"
#include "tcop/cmdtag.h"
#include "tcop/pquery.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
}

namespace jit::describe {

namespace {

constexpr bool is_blank(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::string_view slice(const char* source, int location, int length) noexcept {
    if (source == nullptr) return {};
    std::string_view text(source);
    if (location > 0 && static_cast<std::size_t>(location) <= text.size())
        text.remove_prefix(static_cast<std::size_t>(location));
    if (location >= 0 && length > 0) text = text.substr(0, static_cast<std::size_t>(length));
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && (is_blank(text.back()) || text.back() == ';')) text.remove_suffix(1);
    return text;
}

std::uint32_t privileges_of(AclMode mode) noexcept {
    return ((mode & ACL_SELECT) != 0 ? core::privilege_select : 0U) |
           ((mode & ACL_INSERT) != 0 ? core::privilege_insert : 0U) |
           ((mode & ACL_UPDATE) != 0 ? core::privilege_update : 0U) |
           ((mode & ACL_DELETE) != 0 ? core::privilege_delete : 0U);
}

// What the server would ask for; nextval and LOCK TABLE are content with any of several.
constexpr pg::AclBits any_to_use = ACL_USAGE | ACL_UPDATE;
constexpr pg::AclBits any_to_lock = ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE;
constexpr std::pair<std::uint32_t, pg::AclBits> asked_for[] = {
    {core::privilege_select, ACL_SELECT},     {core::privilege_insert, ACL_INSERT},
    {core::privilege_update, ACL_UPDATE},     {core::privilege_delete, ACL_DELETE},
    {core::privilege_truncate, ACL_TRUNCATE}, {core::privilege_references, ACL_REFERENCES},
    {core::privilege_trigger, ACL_TRIGGER},   {core::privilege_usage, any_to_use},
    {core::privilege_owner, pg::ownership},   {core::privilege_maintain, pg::to_maintain},
    {core::privilege_lock, any_to_lock}};

// Of what a command does to a relation, what needs no grant. Which columns it asks for is not known here.
std::uint32_t own_part(Oid relation, std::uint32_t privileges) {
    pg::AclBits asked = 0;
    for (const auto& [privilege, bits] : asked_for)
        if ((privileges & privilege) != 0) asked |= bits;
    const auto given =
        standing_privileges::privileges({.relation = relation, .privileges = asked, .column_privileges_suffice = false})
            .privileges;
    std::uint32_t own = 0;
    for (const auto& [privilege, bits] : asked_for)
        if ((privileges & privilege) != 0 && (given & bits) != 0) own |= privilege;
    return own;
}

// The objects of a statement, each once. Names are copied, because the name cache may replace one while another is
// added.
class Objects {
public:
    void add(Oid relation, std::uint32_t privileges, std::uint32_t own) {
        auto* use = find(relation);
        if (use == nullptr) {
            add(pg::relation_name(relation), privileges, own, relation);
            return;
        }
        // Asked for twice, it is the user's own if it is so each time.
        const auto again = use->privileges & privileges;
        use->own = (use->own | own) & ~(again & ~(use->own & own));
        use->privileges |= privileges;
    }

    // What has no OID yet, or is no relation.
    void add(std::string_view name, std::uint32_t privileges) {
        for (std::uint32_t i = 0; i < kept_; ++i)
            if (uses_[i].name == name) {
                uses_[i].privileges |= privileges;
                return;
            }
        add(name, privileges, 0, InvalidOid);
    }

    [[nodiscard]] bool has(Oid relation) noexcept { return find(relation) != nullptr; }

    void clear() noexcept { count = kept_ = 0, used_ = 0; }
    [[nodiscard]] std::span<const core::ObjectUse> all() const noexcept { return {uses_.data(), kept_}; }

    std::uint32_t count = 0;

private:
    core::ObjectUse* find(Oid relation) noexcept {
        for (std::uint32_t i = 0; i < kept_; ++i)
            if (relations_[i] == relation) return &uses_[i];
        return nullptr;
    }

    void add(std::string_view name, std::uint32_t privileges, std::uint32_t own, Oid relation) {
        ++count;
        if (kept_ == core::max_objects || name.size() > text_.size() - used_) return;
        name.copy(text_.data() + used_, name.size());
        uses_[kept_] = {privileges, own, {text_.data() + used_, name.size()}};
        relations_[kept_++] = relation;
        used_ += name.size();
    }

    std::uint32_t kept_ = 0;
    std::size_t used_ = 0;
    std::array<core::ObjectUse, core::max_objects> uses_;
    std::array<Oid, core::max_objects> relations_;
    std::array<char, 8192> text_;
};

Objects objects;  // of the statement that is being admitted; one at a time

// ---- names ----------------------------------------------------------------------------------------------------------

bool is_elsewhere(const RangeVar* name) {
    return name->catalogname != nullptr && std::string_view(name->catalogname) != get_database_name(MyDatabaseId);
}

Oid find(const RangeVar* name) {
    if (name == nullptr || is_elsewhere(name)) return InvalidOid;
    if (name->schemaname == nullptr) return RelnameGetRelid(name->relname);
    const Oid schema = LookupNamespaceNoError(name->schemaname);
    return OidIsValid(schema) ? get_relname_relid(name->relname, schema) : InvalidOid;
}

const char* as_typed(const RangeVar* name) {
    const char* here = quote_qualified_identifier(name->schemaname, name->relname);
    return is_elsewhere(name) ? psprintf("%s.%s", quote_identifier(name->catalogname), here) : here;
}

void add(Oid relation, std::uint32_t privileges) { objects.add(relation, privileges, own_part(relation, privileges)); }

// What is not there is given as it was typed.
void add(const RangeVar* name, std::uint32_t privileges) {
    if (name == nullptr) return;
    const Oid relation = pg::call([=] { return find(name); });
    const pg::MinimalQuoting plain;
    if (OidIsValid(relation))
        add(relation, privileges);
    else
        objects.add(pg::call([=] { return as_typed(name); }), privileges);
}

void add_each(const List* names, std::uint32_t privileges) {
    const ListCell* cell = nullptr;
    foreach (cell, names) {
        add(lfirst_node(RangeVar, cell), privileges);
    }
}

// A name in pieces, the first ones of which are the relation's.
void add(const List* pieces, int count, std::uint32_t privileges) {
    if (count < 1 || count > 3) return;
    const auto piece = [=](int from_end) {
        return from_end < count ? strVal(list_nth(pieces, count - 1 - from_end)) : nullptr;
    };
    RangeVar name{};
    name.type = T_RangeVar;
    name.relname = piece(0);
    name.schemaname = piece(1);
    name.catalogname = piece(2);
    add(&name, privileges);
}

// Where something new without a schema is going to be made.
const char* schema_for(const RangeVar* name) {
    if (name->schemaname != nullptr) return name->schemaname;
    if (name->relpersistence == RELPERSISTENCE_TEMP) return "pg_temp";
    // With pg_temp at its head, to read the path is to make that schema.
    if (XactReadOnly || RecoveryInProgress()) return nullptr;
    const List* path = fetch_search_path(false);
    return path != NIL ? get_namespace_name(linitial_oid(path)) : nullptr;
}

void add_new(const RangeVar* name) {
    const pg::MinimalQuoting plain;
    objects.add(pg::call([=] { return quote_qualified_identifier(schema_for(name), name->relname); }),
                core::privilege_create);
}

void add_function(Oid function) {
    const pg::MinimalQuoting plain;
    objects.add(pg::call([=] { return format_procedure_qualified(function); }), core::privilege_execute);
}

// ---- what queries touch ---------------------------------------------------------------------------------------------

// Of a query that is not planned here. Two lists of one length.
struct Touched {
    List* relations = NIL;
    List* privileges = NIL;
};

// Of a view or materialised view; null for anything else.
Query* query_behind(Oid relation) {
    HeapTuple rule = SearchSysCache2(RULERELNAME, ObjectIdGetDatum(relation), CStringGetDatum(ViewSelectRuleName));
    if (!HeapTupleIsValid(rule)) return nullptr;
    bool is_null = false;
    const Datum action = SysCacheGetAttr(RULERELNAME, rule, Anum_pg_rewrite_ev_action, &is_null);
    auto* queries = static_cast<List*>(stringToNode(TextDatumGetCString(action)));
    ReleaseSysCache(rule);
    return linitial_node(Query, queries);
}

// With what is nested in it and behind views.
bool collect(Node* node, void* context) {
    if (node == nullptr) return false;
    // Declared without parameters before 16.
    auto* const walker = reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(collect));
    if (!IsA(node, Query)) return expression_tree_walker(node, walker, context);
    auto* query = reinterpret_cast<Query*>(node);
    auto* touched = static_cast<Touched*>(context);
    pg::for_each_checked_relation(query, [=](const pg::CheckedRelation& checked) {
        const bool is_known = list_member_oid(touched->relations, checked.relation);
        touched->relations = lappend_oid(touched->relations, checked.relation);
        touched->privileges =
            lappend_int(touched->privileges, static_cast<int>(privileges_of(static_cast<AclMode>(checked.privileges))));
        if (!is_known && get_rel_relkind(checked.relation) == RELKIND_VIEW)
            collect(reinterpret_cast<Node*>(query_behind(checked.relation)), touched);
    });
    return query_tree_walker(query, walker, context, 0);
}

Touched touched_by(Query* query) {
    Touched touched;
    collect(reinterpret_cast<Node*>(query), &touched);
    return touched;
}

void add(const Touched& touched) {
    for (int i = 0; i < list_length(touched.relations); ++i)
        add(list_nth_oid(touched.relations, i), static_cast<std::uint32_t>(list_nth_int(touched.privileges, i)));
}

// nextval, currval and setval have their sequence as a constant, which a plan notes among what it depends on.
void add_sequences(const PlannedStmt* plan) {
    const ListCell* cell = nullptr;
    foreach (cell, plan->relationOids) {
        const Oid relation = lfirst_oid(cell);
        if (!objects.has(relation) && pg::call([=] { return get_rel_relkind(relation) == RELKIND_SEQUENCE; }))
            add(relation, core::privilege_usage);
    }
}

// ---- what commands touch --------------------------------------------------------------------------------------------

bool is_relation(ObjectType type) noexcept {
    return type == OBJECT_TABLE || type == OBJECT_INDEX || type == OBJECT_SEQUENCE || type == OBJECT_VIEW ||
           type == OBJECT_MATVIEW || type == OBJECT_FOREIGN_TABLE;
}

// What is named by its relation and a name of its own.
bool is_part(ObjectType type) noexcept {
    return type == OBJECT_COLUMN || type == OBJECT_TRIGGER || type == OBJECT_RULE || type == OBJECT_POLICY ||
           type == OBJECT_TABCONSTRAINT;
}

void add_owned(ObjectType type, const Node* name) {
    if (!is_relation(type) && !is_part(type)) return;
    const auto* pieces = reinterpret_cast<const List*>(name);
    add(pieces, list_length(pieces) - (is_part(type) ? 1 : 0), core::privilege_owner);
}

void add_of(const DropStmt* drop) {
    const ListCell* cell = nullptr;
    foreach (cell, drop->objects) {
        add_owned(drop->removeType, static_cast<const Node*>(lfirst(cell)));
    }
}

// Foreign keys, and the tables a new one is like.
void add_referenced(const Node* element) {
    if (element == nullptr) return;
    if (IsA(element, Constraint))
        add(reinterpret_cast<const Constraint*>(element)->pktable, core::privilege_references);
    if (IsA(element, TableLikeClause))
        add(reinterpret_cast<const TableLikeClause*>(element)->relation, core::privilege_select);
    if (!IsA(element, ColumnDef)) return;
    const ListCell* cell = nullptr;
    foreach (cell, reinterpret_cast<const ColumnDef*>(element)->constraints) {
        add_referenced(static_cast<const Node*>(lfirst(cell)));
    }
}

void add_of(const CreateStmt* create) {
    add_new(create->relation);
    add_each(create->inhRelations, core::privilege_owner);
    const ListCell* cell = nullptr;
    foreach (cell, create->tableElts) {
        add_referenced(static_cast<const Node*>(lfirst(cell)));
    }
}

void add_of(const AlterTableStmt* alter) {
    add(alter->relation, core::privilege_owner);
    const ListCell* cell = nullptr;
    foreach (cell, alter->cmds) {
        const Node* definition = lfirst_node(AlterTableCmd, cell)->def;
        add_referenced(definition);
        if (definition == nullptr) continue;
        if (IsA(definition, PartitionCmd))
            add(reinterpret_cast<const PartitionCmd*>(definition)->name, core::privilege_owner);
        if (IsA(definition, RangeVar)) add(reinterpret_cast<const RangeVar*>(definition), core::privilege_owner);
    }
}

void add_of(const TruncateStmt* truncate) {
    add_each(truncate->relations, core::privilege_truncate);
    if (truncate->behavior != DROP_CASCADE) return;
    const List* all = pg::call([=] {
        List* found = NIL;
        const ListCell* cell = nullptr;
        foreach (cell, truncate->relations) {
            const Oid relation = find(lfirst_node(RangeVar, cell));
            if (OidIsValid(relation)) found = list_append_unique_oid(found, relation);
        }
        for (List* more = found; more != NIL; found = list_concat(found, more)) more = heap_truncate_find_FKs(found);
        return found;
    });
    const ListCell* cell = nullptr;
    foreach (cell, all) {
        add(lfirst_oid(cell), core::privilege_truncate);
    }
}

// A view is locked with all that it reads.
void add_of(const LockStmt* lock) {
    add_each(lock->relations, core::privilege_lock);
    const ListCell* cell = nullptr;
    foreach (cell, lock->relations) {
        const auto* name = lfirst_node(RangeVar, cell);
        const Touched touched = pg::call([=] { return touched_by(query_behind(find(name))); });
        const ListCell* relation = nullptr;
        foreach (relation, touched.relations) {
            add(lfirst_oid(relation), core::privilege_lock);
        }
    }
}

void add_of(const VacuumStmt* vacuum) {
    const ListCell* cell = nullptr;
    foreach (cell, vacuum->rels) {
        add(lfirst_node(VacuumRelation, cell)->relation, core::privilege_maintain);
    }
}

// Its query runs as the owner of the view, who may have nothing to do with the grant.
void add_of(const RefreshMatViewStmt* refresh) {
    add(refresh->relation, core::privilege_maintain);
    add(pg::call([=] { return touched_by(query_behind(find(refresh->relation))); }));
}

// Without ANALYZE nothing runs that would have a row of its own, but the privileges are asked for.
void add_of(const ExplainStmt* explain) {
    auto* query = castNode(Query, explain->query);
    Node* command = query->utilityStmt;
    if (command != nullptr && IsA(command, CreateTableAsStmt))
        query = castNode(Query, reinterpret_cast<CreateTableAsStmt*>(command)->query);
    if (command != nullptr && IsA(command, DeclareCursorStmt))
        query = castNode(Query, reinterpret_cast<DeclareCursorStmt*>(command)->query);
    add(pg::call([=] { return touched_by(query); }));
}

template <class Command>
const Command* as(const Node* command) noexcept {
    return reinterpret_cast<const Command*>(command);
}

void add_of(const GrantStmt* grant) {
    if (grant->targtype == ACL_TARGET_OBJECT && (grant->objtype == OBJECT_TABLE || grant->objtype == OBJECT_SEQUENCE))
        add_each(grant->objects, core::privilege_owner);
}

// The grammar takes any FROM clause; what is no relation the command itself refuses, later.
void add_of(const CreateStatsStmt* statistics) {
    const ListCell* cell = nullptr;
    foreach (cell, statistics->relations) {
        const auto* from = static_cast<const Node*>(lfirst(cell));
        if (IsA(from, RangeVar)) add(as<RangeVar>(from), core::privilege_owner);
    }
}

void add_of(const CopyStmt* copy) {
    add(copy->relation, copy->is_from ? core::privilege_insert : core::privilege_select);
}

// Commands that are not here touch neither relations nor functions of their own.
void add_of(const Node* command) {
    using enum core::Privilege;
    switch (nodeTag(command)) {
        case T_CopyStmt: return add_of(as<CopyStmt>(command));
        case T_TruncateStmt: return add_of(as<TruncateStmt>(command));
        case T_LockStmt: return add_of(as<LockStmt>(command));
        case T_VacuumStmt: return add_of(as<VacuumStmt>(command));
        case T_ClusterStmt: return add(as<ClusterStmt>(command)->relation, privilege_maintain);
        case T_ReindexStmt: return add(as<ReindexStmt>(command)->relation, privilege_maintain);
        case T_RefreshMatViewStmt: return add_of(as<RefreshMatViewStmt>(command));
        case T_ExplainStmt: return add_of(as<ExplainStmt>(command));
        case T_GrantStmt: return add_of(as<GrantStmt>(command));
        case T_CallStmt: return add_function(as<CallStmt>(command)->funcexpr->funcid);
        case T_CreateStmt: return add_of(as<CreateStmt>(command));
        case T_CreateForeignTableStmt: return add_of(&as<CreateForeignTableStmt>(command)->base);
        case T_CreateTableAsStmt: return add_new(as<CreateTableAsStmt>(command)->into->rel);
        case T_ViewStmt: return add_new(as<ViewStmt>(command)->view);
        case T_CreateSeqStmt: return add_new(as<CreateSeqStmt>(command)->sequence);
        case T_AlterSeqStmt: return add(as<AlterSeqStmt>(command)->sequence, privilege_owner);
        case T_AlterTableStmt: return add_of(as<AlterTableStmt>(command));
        case T_RenameStmt: return add(as<RenameStmt>(command)->relation, privilege_owner);
        case T_AlterObjectSchemaStmt: return add(as<AlterObjectSchemaStmt>(command)->relation, privilege_owner);
        case T_DropStmt: return add_of(as<DropStmt>(command));
        case T_CommentStmt: return add_owned(as<CommentStmt>(command)->objtype, as<CommentStmt>(command)->object);
        case T_SecLabelStmt: return add_owned(as<SecLabelStmt>(command)->objtype, as<SecLabelStmt>(command)->object);
        case T_IndexStmt: return add(as<IndexStmt>(command)->relation, privilege_owner);
        case T_CreateTrigStmt: return add(as<CreateTrigStmt>(command)->relation, privilege_trigger);
        case T_RuleStmt: return add(as<RuleStmt>(command)->relation, privilege_owner);
        case T_CreatePolicyStmt: return add(as<CreatePolicyStmt>(command)->table, privilege_owner);
        case T_AlterPolicyStmt: return add(as<AlterPolicyStmt>(command)->table, privilege_owner);
        case T_CreateStatsStmt: return add_of(as<CreateStatsStmt>(command));
        default: return;
    }
}

// What a client sends has a portal. Triggers that were deferred to the commit have none, nor has what a function called
// by the protocol runs, nor what the planner evaluates.
bool has_no_portal() noexcept { return ActivePortal == nullptr; }

// As "$1 = '…', $2 = NULL", if that is wanted; nothing where they are plpgsql's variables, or codes.
std::string_view bound(ParamListInfo parameters, const char* source) {
    if (!settings::log_parameters || parameters == nullptr || parameters->numParams == 0) return {};
    if (source != nullptr && pg::may_hold_code(source)) return {};
    const char* text = pg::call([=] { return BuildParamLogString(parameters, nullptr, settings::statement_limit); });
    return text != nullptr ? text : std::string_view();
}

recorder::Statement described(const PlannedStmt* plan, std::string_view text, const char* tag) {
    const auto changes = standing_privileges::changes();
    bool by_column = false;
    objects.clear();
    pg::for_each_checked_relation(plan, [&](const pg::CheckedRelation& checked) {
        const auto own = standing_privileges::privileges(checked);
        by_column |= own.by_column;
        objects.add(checked.relation, privileges_of(static_cast<AclMode>(checked.privileges)),
                    privileges_of(static_cast<AclMode>(own.privileges)));
    });
    add_sequences(plan);
    recorder::Statement statement{
        .tag = tag, .text = pg::redact_secrets(text), .objects = objects.all(), .object_count = objects.count};
    // Not what columns decide, which are not compared, nor a text that held a secret: it came back as another.
    if (!by_column && statement.text.data() == text.data())
        statement.encoded = statement_cache::keep(plan, statement, changes);
    return statement;
}

}  // namespace

recorder::Statement query(const QueryDesc* query) {
    const PlannedStmt* plan = query->plannedstmt;
    const auto text = slice(query->sourceText, plan->stmt_location, plan->stmt_len);
    const char* tag = GetCommandTagName(CreateCommandTag(reinterpret_cast<Node*>(const_cast<PlannedStmt*>(plan))));
    const auto* known = statement_cache::find(plan, text, tag);
    recorder::Statement statement = known != nullptr ? *known : described(plan, text, tag);
    statement.key = query;
    statement.parameters = bound(query->params, query->sourceText);
    if (!statement.parameters.empty()) statement.encoded = nullptr;
    statement.is_inside = has_no_portal();
    return statement;
}

recorder::Statement command(const PlannedStmt* command, const char* source, ParamListInfo parameters) {
    objects.clear();
    add_of(command->utilityStmt);
    return {.key = command,
            .tag = GetCommandTagName(CreateCommandTag(command->utilityStmt)),
            .text = pg::redact_secrets(slice(source, command->stmt_location, command->stmt_len)),
            .parameters = bound(parameters, source),
            .objects = objects.all(),
            .object_count = objects.count,
            .is_inside = has_no_portal()};
}

const void* key_of_calls() noexcept { return &objects; }

recorder::Statement function(std::uint32_t function) {
    objects.clear();
    add_function(function);
    const char* name = pg::call([=] { return get_func_name(function); });
    return {.key = key_of_calls(),
            .tag = "FUNCTION CALL",
            .text = name != nullptr ? name : "",
            .objects = objects.all(),
            .object_count = objects.count};
}

}  // namespace jit::describe
