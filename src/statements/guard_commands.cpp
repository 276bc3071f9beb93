#include "jit_access/statements/guard_commands.hpp"

#include <algorithm>
#include <iterator>
#include <string>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/enforcement/effective_grants.hpp"
#include "jit_access/pg/version_shims.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/statements/guard_fields.hpp"
#include "jit_access/statements/sandbox.hpp"

extern "C" {
#include "catalog/dependency.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "tcop/cmdtag.h"
#include "utils/lsyscache.h"
}

namespace jit::guard {

namespace {

using core::Code;
using core::Failure;

// Every utility command of the server is listed in one of three places: here, if it is refused under a grant regardless
// of its fields; in harmless[], if it is allowed; or among the cases of why_fields_refused() (guard_fields.cpp), if its
// fields decide. A command that is not listed, such as one of a later version, is refused. Every row and case has a
// test in test/sql/guards.sql (test/arch/guards). `why` is the DETAIL of the message.
struct Guard {  // NOLINT(clang-analyzer-optin.performance.Padding): the order of fields is that of the rows
    NodeTag tag;
    const char* why;
    bool makes_code = false;  // permitted if may_make_code()
};
constexpr Guard guards[] = {
    {T_GrantStmt, "GRANT and REVOKE would pass privileges on."},
    {T_GrantRoleStmt, "GRANT and REVOKE would pass privileges on."},
    {T_AlterDefaultPrivilegesStmt, "Default privileges outlive the grant."},
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
    {T_DropSubscriptionStmt, "Replication carries data away."},
    {T_DropUserMappingStmt, "Foreign servers carry data away."},
    {T_CreateFdwStmt, "Foreign servers carry data away."},
    {T_AlterFdwStmt, "Foreign servers carry data away."},
    {T_AlterEventTrigStmt, "Triggers run in statements of other users."},
    {T_CreateAmStmt, "Access methods bring code."},
    {T_CreateTableSpaceStmt, "Tablespaces outlive the grant."},
    {T_AlterTableSpaceOptionsStmt, "Settings of tablespaces outlive the grant."},
    {T_DropTableSpaceStmt, "Tablespaces outlive the grant."},
    {T_AlterDatabaseRefreshCollStmt, "Settings of databases outlive the grant."},
    {T_CreateOpFamilyStmt, "Operators run in statements of other users.", true},
    {T_AlterOpFamilyStmt, "Operators run in statements of other users.", true},
    {T_AlterTypeStmt, "Functions of a type run in statements of other users.", true},
    {T_AlterTSDictionaryStmt, "Text search runs in statements of other users.", true},
    {T_AlterTSConfigurationStmt, "Text search runs in statements of other users.", true},
    {T_AlterObjectDependsStmt, "Functions run with the privileges of their owner.", true},
};

// Commands that are not guarded: they leave nothing behind, or only objects that belong to the grant and hold no code.
// The objects that they create are examined afterwards (guard_objects.cpp).
constexpr NodeTag harmless[] = {
    T_AlterCollationStmt, T_AlterDomainStmt,  T_AlterEnumStmt,
    T_AlterSeqStmt,       T_AlterStatsStmt,   T_AlterTableMoveAllStmt,
    T_CallStmt,           T_CheckPointStmt,   T_ClosePortalStmt,
    T_ClusterStmt,        T_CommentStmt,      T_CompositeTypeStmt,
    T_ConstraintsSetStmt, T_CreateDomainStmt, T_CreateEnumStmt,
    T_CreateSeqStmt,      T_DeallocateStmt,   T_DeclareCursorStmt,
    T_DiscardStmt,        T_DoStmt,           T_DropdbStmt,
    T_ExecuteStmt,        T_FetchStmt,        T_ListenStmt,
    T_LockStmt,           T_NotifyStmt,       T_PrepareStmt,
    T_RefreshMatViewStmt, T_ReindexStmt,      T_TruncateStmt,
    T_UnlistenStmt,       T_VacuumStmt,       T_VariableShowStmt,
};

// Why this command is refused under a grant; null if it is not.
const char* why_guarded(const Node* command) {
    for (const auto& guard : guards)
        if (guard.tag == nodeTag(command)) return guard.makes_code && may_make_code() ? nullptr : guard.why;
    if (std::find(std::begin(harmless), std::end(harmless), nodeTag(command)) != std::end(harmless)) return nullptr;
    // EXPLAIN ANALYZE runs the command that it explains.
    if (IsA(command, ExplainStmt)) {
        const auto* query = castNode(Query, reinterpret_cast<const ExplainStmt*>(command)->query);
        return query->utilityStmt != nullptr ? why_guarded(query->utilityStmt) : nullptr;
    }
    return why_fields_refused(command);
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

bool is_login_of_grant(pg::RoleId user) {
    return pg::role_name(user).value_or("").starts_with(core::login_role_prefix);
}

// Templates of mode inherit can neither own objects nor give CREATE. To create an object as oneself therefore requires
// ownership or privileges that the holder has without the grant; guard_objects.cpp handles the exceptions.
bool is_acting_as_oneself() {
    const auto me = pg::current_user();
    if (sandbox::is_active() || me != pg::session_user() || is_login_of_grant(me)) return false;
    const auto* grants = enforcement::holds_no_grant() ? nullptr : enforcement::current_grants();
    return grants != nullptr && !grants->refused_role &&
           std::none_of(grants->slots.begin(), grants->slots.begin() + grants->count,
                        [](const Slot* slot) { return slot->allows_schema_change.load(); });
}

bool may_make_code() { return is_code_allowed() || is_acting_as_oneself(); }

void check_command_under_grant(const Node* command) {
    // Without effective grants, only the commands that check membership are refused. They are rare, so the roles of the
    // session are looked up last.
    const bool only_by_membership =
        !sandbox::is_active() && (enforcement::holds_no_grant() || enforcement::current_grants() == nullptr);
    if (only_by_membership && !is_membership_checked(command)) return;
    const char* why = why_guarded(command);
    if (why == nullptr || (only_by_membership && !enforcement::may_act_as_grant_role())) return;
    // After a PREPARE TRANSACTION that fails, the transaction must be over.
    if (IsA(command, TransactionStmt)) pg::abandon_transaction_block();
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
