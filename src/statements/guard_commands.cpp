#include "jit_access/statements/guard_commands.hpp"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <string>

#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/effective_grants.hpp"
#include "jit_access/pg/version_shims.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/statements/sandbox.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "tcop/cmdtag.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace jit::guard {

namespace {

using core::Code;
using core::Failure;

// Commands that are always refused under a grant, with the DETAIL of the message. A command that is refused depending
// on its fields is a case of why_guarded(). Every row and case has a test in test/sql/guards.sql (test/arch/guards).
struct Guard {  // NOLINT(clang-analyzer-optin.performance.Padding): the order of fields is that of the rows
    NodeTag tag;
    const char* why;
    bool makes_code = false;  // allowed by a template with allow_code
};
constexpr Guard guards[] = {
    {T_GrantStmt, "GRANT and REVOKE would pass privileges on."},
    {T_GrantRoleStmt, "GRANT and REVOKE would pass privileges on."},
    {T_AlterDefaultPrivilegesStmt, "Default privileges outlive the grant."},
    {T_AlterOwnerStmt, "A change of owner outlives the grant."},
    {T_CreateRoleStmt, "Roles outlive the grant."},
    {T_AlterRoleStmt, "Changes of roles outlive the grant."},
    {T_AlterRoleSetStmt, "Settings of roles outlive the grant."},
    {T_DropRoleStmt, "Changes of roles outlive the grant."},
    {T_AlterDatabaseSetStmt, "Settings of databases outlive the grant."},
    {T_AlterDatabaseStmt, "Settings of databases outlive the grant."},
    {T_ReassignOwnedStmt, "A change of owner outlives the grant."},
    {T_DropOwnedStmt, "Dropping the objects of a role outlives the grant."},
    {T_CreateFunctionStmt, "Functions run with the privileges of their owner.", true},
    {T_CreateTrigStmt, "Triggers run in statements of other users.", true},
    {T_CreateEventTrigStmt, "Triggers run in statements of other users."},
    {T_RuleStmt, "Rules run in statements of other users.", true},
    {T_ViewStmt, "Views give what their owner can see.", true},
    {T_CreatePolicyStmt, "Policies run in statements of other users.", true},
    {T_CreateExtensionStmt, "Extensions bring code."},
    {T_AlterExtensionStmt, "Extensions bring code."},
    {T_AlterExtensionContentsStmt, "Extensions bring code."},
    {T_CreateCastStmt, "Casts run in statements of other users.", true},
    {T_CreateTransformStmt, "Transforms run in other people's functions.", true},
    {T_CreateConversionStmt, "Conversions run in statements of other users.", true},
    {T_CreateOpClassStmt, "Operators run in statements of other users.", true},
    {T_AlterOperatorStmt, "Operators run in statements of other users.", true},
    {T_CreatePLangStmt, "Languages bring code."},
    {T_CreatePublicationStmt, "Replication carries data away."},
    {T_CreateSubscriptionStmt, "Replication carries data away."},
    {T_CreateForeignServerStmt, "Foreign servers carry data away."},
    {T_AlterForeignServerStmt, "Foreign servers carry data away."},
    {T_CreateUserMappingStmt, "Foreign servers carry data away."},
    {T_AlterUserMappingStmt, "Foreign servers carry data away."},
    {T_CreateForeignTableStmt, "Foreign servers carry data away."},
    {T_ImportForeignSchemaStmt, "Foreign servers carry data away."},
    {T_SecLabelStmt, "Labels decide what others may see."},
    {T_AlterSystemStmt, "Settings of the server outlive the grant."},
    {T_LoadStmt, "Libraries bring code."},
    {T_AlterPolicyStmt, "Policies run in statements of other users.", true},
    {T_DefineStmt, "Operators, aggregates and types run in statements of other users.", true},
    {T_AlterFunctionStmt, "Functions run with the privileges of their owner.", true},
    {T_AlterPublicationStmt, "Replication carries data away."},
    {T_AlterSubscriptionStmt, "Replication carries data away."},
    {T_CreateStatsStmt, "Expressions of statistics run with the privileges of the table's owner.", true},
};

// Commands for which the server checks membership instead of inherited privileges. A session that could SET ROLE to the
// role of a grant can use them without having done so, and without any effective grant.
constexpr NodeTag membership_checked[] = {T_AlterDefaultPrivilegesStmt, T_AlterOwnerStmt, T_ReassignOwnedStmt,
                                          T_DropOwnedStmt};

// ALTER TABLE with several actions may hide OWNER TO among others.
bool changes_owner(const AlterTableStmt* alter) {
    const ListCell* cell = nullptr;
    foreach (cell, alter->cmds)
        if (lfirst_node(AlterTableCmd, cell)->subtype == AT_ChangeOwner) return true;
    return false;
}

bool has_option(const List* options, std::initializer_list<std::string_view> wanted) {
    const ListCell* cell = nullptr;
    foreach (cell, options)
        if (std::find(wanted.begin(), wanted.end(), lfirst_node(DefElem, cell)->defname) != wanted.end()) return true;
    return false;
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

// Expressions of an index run as the owner of the table. With allow_code they are allowed on tables that the role of
// the grant owns, not on those of another role.
bool may_have_expressions(const RangeVar* relation) {
    return is_code_allowed() && pg::call([relation] {
               HeapTuple row = SearchSysCache1(RELOID, ObjectIdGetDatum(RangeVarGetRelid(relation, NoLock, true)));
               if (!HeapTupleIsValid(row)) return true;
               const bool is_owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(row))->relowner == GetUserId();
               ReleaseSysCache(row);
               return is_owner;
           });
}

// Why this change of a table or view is refused under a grant; null if it is not.
const char* why_guarded(const AlterTableStmt* alter, bool code) {
    if (changes_owner(alter)) return "A change of owner outlives the grant.";
    const ListCell* cell = nullptr;
    foreach (cell, alter->cmds) {
        const auto* command = lfirst_node(AlterTableCmd, cell);
        switch (command->subtype) {
            case AT_EnableRowSecurity:
            case AT_DisableRowSecurity:
            case AT_ForceRowSecurity:
            case AT_NoForceRowSecurity:
                if (!code) return "Row security decides what others may see.";
                break;
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
            case AT_DisableRule:
                if (!code) return "Triggers and rules run in statements of other users.";
                break;
            case AT_AddConstraint: {
                const auto* constraint = castNode(Constraint, command->def);
                if (constraint->contype == CONSTR_EXCLUSION &&
                    has_expressions(constraint->exclusions, constraint->where_clause) &&
                    !may_have_expressions(alter->relation))
                    return "Expressions of an index run with the privileges of the table's owner.";
                break;
            }
            case AT_SetRelOptions:
            case AT_ResetRelOptions:
            case AT_ReplaceRelOptions:
                if (has_option(reinterpret_cast<const List*>(command->def), {"security_invoker"}))
                    return "Views give what their owner can see.";
                break;
            case AT_GenericOptions:
            case AT_AlterColumnGenericOptions: return "Foreign servers carry data away.";
            default: break;
        }
    }
    return nullptr;
}

// Why this command is refused under a grant; null if it is not.
const char* why_guarded(const Node* command) {
    for (const auto& guard : guards)
        if (guard.tag == nodeTag(command)) return guard.makes_code && is_code_allowed() ? nullptr : guard.why;
    switch (nodeTag(command)) {
        case T_AlterTableStmt: return why_guarded(reinterpret_cast<const AlterTableStmt*>(command), is_code_allowed());
        case T_RenameStmt:
            return reinterpret_cast<const RenameStmt*>(command)->renameType == OBJECT_ROLE
                       ? "Changes of roles outlive the grant."
                       : nullptr;
        case T_DropStmt:
            return reinterpret_cast<const DropStmt*>(command)->removeType == OBJECT_POLICY && !is_code_allowed()
                       ? "Row security decides what others may see."
                       : nullptr;
        case T_CreatedbStmt:
            return has_option(reinterpret_cast<const CreatedbStmt*>(command)->options, {"owner"})
                       ? "The new object would belong to another role and outlive the grant."
                       : nullptr;
        case T_CreateTableAsStmt:
            return reinterpret_cast<const CreateTableAsStmt*>(command)->objtype == OBJECT_MATVIEW && !is_code_allowed()
                       ? "Views give what their owner can see."
                       : nullptr;
        case T_ExplainStmt: {
            // EXPLAIN ANALYZE runs the command that it explains.
            const auto* query = castNode(Query, reinterpret_cast<const ExplainStmt*>(command)->query);
            return query->utilityStmt != nullptr ? why_guarded(query->utilityStmt) : nullptr;
        }
        case T_CreateRangeStmt:
            return has_option(reinterpret_cast<const CreateRangeStmt*>(command)->params,
                              {"canonical", "subtype_diff"}) &&
                           !is_code_allowed()
                       ? "Functions of a type run in statements of other users."
                       : nullptr;
        case T_CreateStmt: {
            const auto* spec = reinterpret_cast<const CreateStmt*>(command)->partspec;
            bool expression = false;
            const ListCell* cell = nullptr;
            foreach (cell, spec != nullptr ? spec->partParams : NIL)
                expression |= lfirst_node(PartitionElem, cell)->expr != nullptr;
            return expression && !is_code_allowed() ? "Expressions run with the privileges of the table's owner."
                                                    : nullptr;
        }
        case T_CreateSchemaStmt:
            return reinterpret_cast<const CreateSchemaStmt*>(command)->authrole != nullptr
                       ? "The new object would belong to another role and outlive the grant."
                       : nullptr;
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
            return has_expressions(index->indexParams, index->whereClause) && !may_have_expressions(index->relation)
                       ? "Expressions of an index run with the privileges of the table's owner."
                       : nullptr;
        }
        default: return nullptr;
    }
}

bool is_membership_checked(const Node* command) {
    return std::find(std::begin(membership_checked), std::end(membership_checked), nodeTag(command)) !=
               std::end(membership_checked) ||
           (IsA(command, AlterTableStmt) && changes_owner(reinterpret_cast<const AlterTableStmt*>(command))) ||
           IsA(command, CreateSchemaStmt) || IsA(command, CreatedbStmt);
}

}  // namespace

// In a dry run no grant exists yet, so the template of the dry run decides.
bool is_code_allowed() {
    if (const auto in_dry_run = sandbox::allows_code()) return *in_dry_run;
    const auto* grants = enforcement::holds_no_grant() ? nullptr : enforcement::current_grants();
    if (grants == nullptr || grants->count == 0) return false;
    return std::all_of(grants->slots.begin(), grants->slots.begin() + grants->count,
                       [](const Slot* slot) { return slot->allows_code.load(); });
}

void check_command_under_grant(const Node* command) {
    // Without effective grants, only the commands that check membership are refused. They are rare, so the roles of the
    // session are looked up last.
    const bool only_by_membership =
        !sandbox::is_active() && (enforcement::holds_no_grant() || enforcement::current_grants() == nullptr);
    if (only_by_membership && !is_membership_checked(command)) return;
    const char* why = why_guarded(command);
    if (why == nullptr || (only_by_membership && !enforcement::may_act_as_grant_role())) return;
    throw Failure(Code::guarded,
                  std::string(GetCommandTagName(CreateCommandTag(const_cast<Node*>(command)))) +
                      " is not allowed to a session that uses a grant",
                  why, "Do it without the grant, or ask a DBA.");
}

void check_function_call(std::uint32_t function) {
    if (function < FirstNormalObjectId) return;  // a function of the server; each statement calls many
    // The extension is checked, not only the schema, because any user may own a schema named cron.
    const bool is_pg_cron = pg::call([function] {
        const Oid schema = get_func_namespace(function);
        const char* name = schema == PG_CATALOG_NAMESPACE ? nullptr : get_namespace_name(schema);
        return name != nullptr && std::string_view(name) == "cron" &&
               OidIsValid(getExtensionOfObject(ProcedureRelationId, function)) &&
               getExtensionOfObject(ProcedureRelationId, function) == get_extension_oid("pg_cron", true);
    });
    if (!is_pg_cron || enforcement::current_grants() == nullptr) return;
    throw Failure(Code::guarded, "pg_cron's functions are not allowed to a session that uses a grant",
                  "A scheduled job outlives the grant.", "Do it without the grant, or ask a DBA.");
}

}  // namespace jit::guard
