#include "jit_access/statements/guard_fields.hpp"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <string_view>

#include "jit_access/pg/version_shims.hpp"
#include "jit_access/statements/guard_commands.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_largeobject.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "storage/lockdefs.h"
#include "utils/acl.h"
#include "utils/syscache.h"
}

namespace jit::guard {

namespace {

constexpr const char* unknown = "Its effects under a grant have not been examined.";
constexpr const char* changes_owners = "A change of owner outlives the grant.";
constexpr const char* of_another_role = "The new object would belong to another role and outlive the grant.";
constexpr const char* runs_for_others = "Triggers and rules run in statements of other users.";
constexpr const char* hides_rows = "Row security decides what others may see.";
constexpr const char* shows_rows = "Views give what their owner can see.";
constexpr const char* index_expressions = "Expressions of an index run with the privileges of the table's owner.";

const char* unless_code(const char* why) { return may_make_code() ? nullptr : why; }

// ---- owners ---------------------------------------------------------------------------------------------------------

bool is_current_user(const RoleSpec* role) {
    return pg::call([role] { return get_rolespec_oid(role, true) == GetUserId(); });
}

Oid owner_in_cache(int cache, Oid object_class, Oid object) {
    HeapTuple row = SearchSysCache1(cache, ObjectIdGetDatum(object));
    if (!HeapTupleIsValid(row)) return InvalidOid;
    bool is_null = false;
    const Datum owner = SysCacheGetAttr(cache, row, get_object_attnum_owner(object_class), &is_null);
    ReleaseSysCache(row);
    return DatumGetObjectId(owner);
}

// InvalidOid if there is no such relation.
Oid owner_of_relation(const RangeVar* relation) {
    return pg::call([relation] {
        const Oid found = RangeVarGetRelid(relation, NoLock, true);
        return OidIsValid(found) ? owner_in_cache(RELOID, RelationRelationId, found) : InvalidOid;
    });
}

bool owns_relation(const RangeVar* relation) { return owner_of_relation(relation) == GetUserId(); }
bool belongs_to_another(const RangeVar* relation) {
    const Oid owner = owner_of_relation(relation);
    return OidIsValid(owner) && owner != GetUserId();
}

bool owns_object(const AlterOwnerStmt* alter) {
    return pg::call([alter] {
        Relation relation = nullptr;
        Node* name = alter->object;
        if (alter->objectType == OBJECT_TYPE || alter->objectType == OBJECT_DOMAIN)
            name = reinterpret_cast<Node*>(makeTypeNameFromNameList(castNode(List, name)));
        const auto address = get_object_address(alter->objectType, name, &relation, AccessShareLock, true);
        if (!OidIsValid(address.objectId) || address.classId == LargeObjectRelationId) return false;
        return owner_in_cache(get_object_catcache_oid(address.classId), address.classId, address.objectId) ==
               GetUserId();
    });
}

// One ALTER TABLE may have several actions, and OWNER TO among them. OWNER TO CURRENT_ROLE by the owner changes
// nothing.
bool changes_owner(const AlterTableStmt* alter) {
    const ListCell* cell = nullptr;
    foreach (cell, alter->cmds) {
        const auto* command = lfirst_node(AlterTableCmd, cell);
        if (command->subtype == AT_ChangeOwner &&
            !(is_current_user(command->newowner) && owns_relation(alter->relation)))
            return true;
    }
    return false;
}

// ---- options and expressions ----------------------------------------------------------------------------------------

const DefElem* find_option(const List* options, std::string_view name) {
    const ListCell* cell = nullptr;
    foreach (cell, options)
        if (name == lfirst_node(DefElem, cell)->defname) return lfirst_node(DefElem, cell);
    return nullptr;
}

bool has_option(const List* options, std::initializer_list<std::string_view> wanted) {
    return std::any_of(wanted.begin(), wanted.end(),
                       [options](std::string_view name) { return find_option(options, name) != nullptr; });
}

bool has_expressions(const List* columns, const Node* condition) {
    const ListCell* cell = nullptr;
    foreach (cell, columns) {
        const auto* column = static_cast<const Node*>(lfirst(cell));
        // In an exclusion constraint each element is a pair of column and operator.
        if (IsA(column, List)) column = static_cast<const Node*>(linitial(reinterpret_cast<const List*>(column)));
        if (castNode(IndexElem, const_cast<Node*>(column))->expr != nullptr) return true;
    }
    return condition != nullptr;
}

// Options of views. An option that makes a view stricter is harmless.
const char* why_options_refused(AlterTableType action, const List* options) {
    const auto is_set_true = [&](const DefElem* option) {
        return option == nullptr || (action == AT_SetRelOptions &&
                                     pg::call([option] { return defGetBoolean(const_cast<DefElem*>(option)); }));
    };
    if (!is_set_true(find_option(options, "security_invoker"))) return shows_rows;
    if (!is_set_true(find_option(options, "security_barrier"))) return unless_code(shows_rows);
    return find_option(options, "check_option") != nullptr ? unless_code("Views decide what others may write.")
                                                           : nullptr;
}

// ---- kinds of objects -----------------------------------------------------------------------------------------------

// Why an object of this kind may not be dropped, renamed or moved under a grant; null if it may be. A kind that a later
// version adds is refused.
const char* why_kind_refused(ObjectType kind) {
    switch (kind) {
        case OBJECT_AGGREGATE:
        case OBJECT_ATTRIBUTE:
        case OBJECT_COLLATION:
        case OBJECT_COLUMN:
        case OBJECT_DATABASE:
        case OBJECT_DOMAIN:
        case OBJECT_DOMCONSTRAINT:
        case OBJECT_FOREIGN_TABLE:
        case OBJECT_FUNCTION:  // guard_objects.cpp examines it under its new name or schema
        case OBJECT_INDEX:
        case OBJECT_MATVIEW:
        case OBJECT_PROCEDURE:
        case OBJECT_ROUTINE:
        case OBJECT_SCHEMA:
        case OBJECT_SEQUENCE:
        case OBJECT_STATISTIC_EXT:
        case OBJECT_TABCONSTRAINT:
        case OBJECT_TABLE:
        case OBJECT_TYPE:
        case OBJECT_VIEW: return nullptr;
        case OBJECT_TRIGGER:
        case OBJECT_RULE: return unless_code(runs_for_others);
        case OBJECT_POLICY: return unless_code(hides_rows);
        case OBJECT_CAST:
        case OBJECT_CONVERSION:
        case OBJECT_OPCLASS:
        case OBJECT_OPERATOR:
        case OBJECT_OPFAMILY:
        case OBJECT_TRANSFORM: return unless_code("Operators and casts run in statements of other users.");
        case OBJECT_TSCONFIGURATION:
        case OBJECT_TSDICTIONARY:
        case OBJECT_TSPARSER:
        case OBJECT_TSTEMPLATE: return unless_code("Text search runs in statements of other users.");
        case OBJECT_ROLE: return "Changes of roles outlive the grant.";
        case OBJECT_EVENT_TRIGGER: return runs_for_others;
        case OBJECT_EXTENSION: return "Extensions bring code.";
        case OBJECT_LANGUAGE: return "Languages bring code.";
        case OBJECT_ACCESS_METHOD: return "Access methods bring code.";
        case OBJECT_FDW:
        case OBJECT_FOREIGN_SERVER: return "Foreign servers carry data away.";
        case OBJECT_PUBLICATION:
        case OBJECT_SUBSCRIPTION: return "Replication carries data away.";
        default: return unknown;
    }
}

// ---- ALTER TABLE ----------------------------------------------------------------------------------------------------

const char* why_action_refused(const AlterTableCmd* action) {
    switch (action->subtype) {
        case AT_AddColumn:
        case AT_ColumnDefault:
        case AT_DropNotNull:
        case AT_SetNotNull:
        case AT_DropExpression:
        case AT_SetStatistics:
        case AT_SetOptions:
        case AT_ResetOptions:
        case AT_SetStorage:
        case AT_SetCompression:
        case AT_DropColumn:
        case AT_AddIndex:
        case AT_AlterConstraint:
        case AT_ValidateConstraint:
        case AT_AddIndexConstraint:
        case AT_DropConstraint:
        case AT_AlterColumnType:
        case AT_ClusterOn:
        case AT_DropCluster:
        case AT_SetLogged:
        case AT_SetUnLogged:
        case AT_DropOids:
        case AT_SetAccessMethod:
        case AT_SetTableSpace:
        case AT_AddInherit:
        case AT_DropInherit:
        case AT_AddOf:
        case AT_DropOf:
        case AT_ReplicaIdentity:
        case AT_AttachPartition:
        case AT_DetachPartition:
        case AT_DetachPartitionFinalize:
        case AT_AddIdentity:
        case AT_SetIdentity:
        case AT_DropIdentity:
        case AT_ChangeOwner: return nullptr;  // the owner was examined before
        case AT_EnableRowSecurity:
        case AT_DisableRowSecurity:
        case AT_ForceRowSecurity:
        case AT_NoForceRowSecurity: return unless_code(hides_rows);
        case AT_EnableTrig:
        case AT_EnableAlwaysTrig:
        case AT_EnableReplicaTrig:
        case AT_DisableTrig:
        case AT_EnableTrigAll:
        case AT_DisableTrigAll:
        case AT_EnableTrigUser:
        case AT_DisableTrigUser:
        case AT_EnableRule:
        case AT_EnableAlwaysRule:
        case AT_EnableReplicaRule:
        case AT_DisableRule: return unless_code(runs_for_others);
        case AT_AddConstraint: {
            const auto* constraint = castNode(Constraint, action->def);
            return constraint->contype == CONSTR_EXCLUSION &&
                           has_expressions(constraint->exclusions, constraint->where_clause)
                       ? unless_code(index_expressions)
                       : nullptr;
        }
        case AT_SetRelOptions:
        case AT_ResetRelOptions:
        case AT_ReplaceRelOptions:
            return why_options_refused(action->subtype, reinterpret_cast<const List*>(action->def));
        case AT_GenericOptions:
        case AT_AlterColumnGenericOptions: return "Foreign servers carry data away.";
        default: return pg::is_set_expression(action->subtype) ? nullptr : unknown;
    }
}

const char* why_alter_refused(const AlterTableStmt* alter) {
    if (changes_owner(alter)) return changes_owners;
    const ListCell* cell = nullptr;
    foreach (cell, alter->cmds)
        if (const char* why = why_action_refused(lfirst_node(AlterTableCmd, cell))) return why;
    return nullptr;
}

// ---- other commands -------------------------------------------------------------------------------------------------

bool creates_nothing(const CreateExtensionStmt* create) {
    return create->if_not_exists && pg::call([create] { return OidIsValid(get_extension_oid(create->extname, true)); });
}

const char* why_create_table_refused(const CreateStmt* create) {
    const ListCell* cell = nullptr;
    foreach (cell, create->partspec != nullptr ? create->partspec->partParams : NIL)
        if (lfirst_node(PartitionElem, cell)->expr != nullptr)
            return unless_code("Expressions run with the privileges of the table's owner.");
    return nullptr;
}

const char* why_statistics_refused(const CreateStatsStmt* create) {
    const ListCell* cell = nullptr;
    foreach (cell, create->exprs)
        if (lfirst_node(StatsElem, cell)->expr != nullptr)
            return unless_code("Expressions of statistics run with the privileges of the table's owner.");
    return nullptr;
}

const char* why_database_refused(const CreatedbStmt* create) {
    const auto* owner = find_option(create->options, "owner");
    if (owner == nullptr) return nullptr;
    const bool is_own =
        pg::call([owner] { return get_role_oid(defGetString(const_cast<DefElem*>(owner)), true) == GetUserId(); });
    return is_own ? nullptr : of_another_role;
}

// Commands for which the server checks membership instead of inherited privileges. A session that could SET ROLE to the
// role of a grant can run these commands without SET ROLE, and without any effective grant.
constexpr NodeTag membership_checked[] = {T_AlterDefaultPrivilegesStmt, T_AlterOwnerStmt,
                                          T_ReassignOwnedStmt,          T_DropOwnedStmt,
                                          T_CreateSchemaStmt,           T_CreatedbStmt};

}  // namespace

const char* why_fields_refused(const Node* command) {
    switch (nodeTag(command)) {
        case T_AlterTableStmt: return why_alter_refused(reinterpret_cast<const AlterTableStmt*>(command));
        case T_AlterOwnerStmt: {
            const auto* alter = reinterpret_cast<const AlterOwnerStmt*>(command);
            return is_current_user(alter->newowner) && owns_object(alter) ? nullptr : changes_owners;
        }
        case T_RenameStmt: return why_kind_refused(reinterpret_cast<const RenameStmt*>(command)->renameType);
        case T_AlterObjectSchemaStmt:
            return why_kind_refused(reinterpret_cast<const AlterObjectSchemaStmt*>(command)->objectType);
        case T_DropStmt: return why_kind_refused(reinterpret_cast<const DropStmt*>(command)->removeType);
        case T_CreatedbStmt: return why_database_refused(reinterpret_cast<const CreatedbStmt*>(command));
        case T_CreateExtensionStmt:
            return creates_nothing(reinterpret_cast<const CreateExtensionStmt*>(command)) ? nullptr
                                                                                          : "Extensions bring code.";
        case T_CreateTableAsStmt:
            return reinterpret_cast<const CreateTableAsStmt*>(command)->objtype == OBJECT_MATVIEW
                       ? unless_code(shows_rows)
                       : nullptr;
        case T_CreateRangeStmt:
            return has_option(reinterpret_cast<const CreateRangeStmt*>(command)->params, {"canonical", "subtype_diff"})
                       ? unless_code("Functions of a type run in statements of other users.")
                       : nullptr;
        case T_CreateStmt: return why_create_table_refused(reinterpret_cast<const CreateStmt*>(command));
        case T_CreateStatsStmt: return why_statistics_refused(reinterpret_cast<const CreateStatsStmt*>(command));
        case T_CreateSchemaStmt: {
            const auto* owner = reinterpret_cast<const CreateSchemaStmt*>(command)->authrole;
            return owner == nullptr || is_current_user(owner) ? nullptr : of_another_role;
        }
        case T_TransactionStmt:
            return reinterpret_cast<const TransactionStmt*>(command)->kind == TRANS_STMT_PREPARE
                       ? "A prepared transaction could be committed after the grant's end."
                       : nullptr;
        case T_CopyStmt: {
            const auto* copy = reinterpret_cast<const CopyStmt*>(command);
            return copy->is_program || copy->filename != nullptr
                       ? "The record does not show what programs and files of the server do."
                       : nullptr;
        }
        case T_VariableSetStmt: {
            const auto* set = reinterpret_cast<const VariableSetStmt*>(command);
            return set->kind == VAR_SET_VALUE && set->name != nullptr &&
                           std::string_view(set->name) == "session_authorization"
                       ? "The record identifies users by the session user."
                       : nullptr;
        }
        case T_IndexStmt: {
            const auto* index = reinterpret_cast<const IndexStmt*>(command);
            if (!has_expressions(index->indexParams, index->whereClause)) return nullptr;
            // A concurrent build commits before the index of another owner's table is examined.
            return index->concurrent && belongs_to_another(index->relation) ? index_expressions
                                                                            : unless_code(index_expressions);
        }
        default: return unknown;
    }
}

bool is_membership_checked(const Node* command) {
    return std::find(std::begin(membership_checked), std::end(membership_checked), nodeTag(command)) !=
               std::end(membership_checked) ||
           (IsA(command, AlterTableStmt) && changes_owner(reinterpret_cast<const AlterTableStmt*>(command)));
}

}  // namespace jit::guard
