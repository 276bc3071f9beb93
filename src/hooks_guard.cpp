#include <string>

#include "jit_access/board.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/enforce.hpp"
#include "jit_access/guard.hpp"
#include "jit_access/pending.hpp"
#include "jit_access/pg/version.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "tcop/cmdtag.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

#include "jit_access/settings.hpp"

namespace jit::guard {

namespace {

using core::Code;
using core::Failure;

bool is_managed(const char* role) noexcept {
    if (role == nullptr) return false;
    const std::string_view name(role);
    return name.starts_with(core::grant_role_prefix) || name.starts_with(core::gate_role_prefix) ||
           name.starts_with(core::template_role_prefix) || name == core::marker_role;
}

bool by_superuser() { return pg::is_superuser(pg::current_user()); }

void refuse_managed(const char* role) {
    if (!is_managed(role) || by_superuser()) return;
    throw Failure(Code::guarded, std::string("role \"") + role + "\" is managed by jit_access",
                  "Changing it by hand would give, keep or hide access that nobody approved.",
                  "Use the jit_* functions; a superuser can still repair it by hand, which is recorded as drift.");
}

void check_roles(const List* roles) {
    const ListCell* cell = nullptr;
    foreach (cell, roles) {
        const auto* spec = lfirst_node(RoleSpec, cell);
        if (spec->roletype == ROLESPEC_CSTRING) refuse_managed(spec->rolename);
    }
}

// Granted roles come as privileges, with the role's name as the privilege.
void check_membership(const GrantRoleStmt* grant) {
    const ListCell* cell = nullptr;
    foreach (cell, grant->granted_roles) refuse_managed(lfirst_node(AccessPriv, cell)->priv_name);
    check_roles(grant->grantee_roles);
}

void check_dropped_roles(const DropRoleStmt* drop) {
    check_roles(drop->roles);
    const ListCell* cell = nullptr;
    foreach (cell, drop->roles) {
        const auto* spec = lfirst_node(RoleSpec, cell);
        if (spec->roletype != ROLESPEC_CSTRING) continue;
        const auto role = pg::find_role(spec->rolename);
        if (!role) continue;
        for (const auto& slot : board->used_slots())
            if (slot.requester.load() == role->oid && slot.state.load() == SlotState::live)
                throw Failure(Code::live_grants, std::string("role \"") + spec->rolename + "\" cannot be dropped",
                              "It holds grant " + std::to_string(slot.id.load()) + ", which is live.",
                              "End it first with jit_revoke(" + std::to_string(slot.id.load()) + ").");
    }
}

// What a session may not do while it uses a grant, because it would outlive the grant or pass its privileges on.
struct Guard {
    NodeTag tag;
    const char* why;
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
    {T_ReassignOwnedStmt, "A change of owner outlives the grant."},
    {T_DropOwnedStmt, "Dropping what a role owns outlives the grant."},
    {T_CreateFunctionStmt, "Functions run with the privileges of their owner."},
    {T_CreateTrigStmt, "Triggers run in other people's statements."},
    {T_CreateEventTrigStmt, "Triggers run in other people's statements."},
    {T_RuleStmt, "Rules run in other people's statements."},
    {T_ViewStmt, "Views give what their owner can see."},
    {T_CreatePolicyStmt, "Policies run in other people's statements."},
    {T_CreateExtensionStmt, "Extensions bring code."},
    {T_CreateCastStmt, "Casts run in other people's statements."},
    {T_CreateOpClassStmt, "Operators run in other people's statements."},
    {T_CreatePLangStmt, "Languages bring code."},
    {T_CreatePublicationStmt, "Replication carries data away."},
    {T_CreateSubscriptionStmt, "Replication carries data away."},
    {T_AlterSystemStmt, "Settings of the server outlive the grant."},
    {T_LoadStmt, "Libraries bring code."},
};

void check_under_grant(const Node* command) {
    if (enforce::is_plain() || enforce::standing() == nullptr) return;
    const auto refuse = [&](const char* why) {
        throw Failure(Code::guarded,
                      std::string(GetCommandTagName(CreateCommandTag(const_cast<Node*>(command)))) +
                          " is not allowed to a session that uses a grant",
                      why, "Do it without the grant, or ask a DBA.");
    };
    for (const auto& guard : guards)
        if (guard.tag == nodeTag(command)) refuse(guard.why);
    if (IsA(command, TransactionStmt) && reinterpret_cast<const TransactionStmt*>(command)->kind == TRANS_STMT_PREPARE)
        refuse("A prepared transaction could be committed after the grant's end.");
    if (IsA(command, CopyStmt)) {
        const auto* copy = reinterpret_cast<const CopyStmt*>(command);
        if (copy->is_program || copy->filename != nullptr)
            refuse("Programs and files of the server are out of the record's sight.");
    }
    if (IsA(command, VariableSetStmt)) {
        const auto* set = reinterpret_cast<const VariableSetStmt*>(command);
        if (set->kind == VAR_SET_VALUE && set->name != nullptr &&
            std::string_view(set->name) == "session_authorization")
            refuse("The record says who did what by the session's user.");
    }
}

}  // namespace

namespace {

// Privileges that check_closure() looks for. No list of privileges means all of them.
bool gives_more(const GrantStmt* grant) {
    if (grant->grant_option || grant->privileges == NIL) return true;
    const ListCell* cell = nullptr;
    foreach (cell, grant->privileges) {
        const char* name = lfirst_node(AccessPriv, cell)->priv_name;
        if (name == nullptr || std::string_view(name) == "create" || std::string_view(name) == "trigger") return true;
    }
    return false;
}

void check_grant(const GrantStmt* grant) {
    if (!grant->is_grant) return;
    if (gives_more(grant)) pending::change_closures();
    if (!grant->grant_option) return;
    const ListCell* cell = nullptr;
    foreach (cell, grant->grantees) {
        const auto* spec = lfirst_node(RoleSpec, cell);
        if (spec->roletype == ROLESPEC_CSTRING && is_managed(spec->rolename))
            throw Failure(Code::guarded, std::string("role \"") + spec->rolename + "\" cannot have a grant option",
                          "Whoever uses a grant could pass its privileges on.", "Grant without WITH GRANT OPTION.");
    }
}

}  // namespace

void check_command(const Node* command) {
    // What is made under SET ROLE belongs to that role, which may be a template's.
    if (GetOuterUserId() != GetSessionUserId()) pending::change_closures();
    switch (nodeTag(command)) {
        case T_GrantStmt: check_grant(reinterpret_cast<const GrantStmt*>(command)); break;
        case T_AlterOwnerStmt:
        case T_AlterTableStmt:
        case T_ReassignOwnedStmt: pending::change_closures(); break;
        case T_TransactionStmt:
            if (reinterpret_cast<const TransactionStmt*>(command)->kind == TRANS_STMT_COMMIT_PREPARED)
                pending::change_closures();
            break;
        case T_CreateRoleStmt: refuse_managed(reinterpret_cast<const CreateRoleStmt*>(command)->role); break;
        case T_AlterRoleStmt: refuse_managed(reinterpret_cast<const AlterRoleStmt*>(command)->role->rolename); break;
        case T_AlterRoleSetStmt:
            if (const auto* role = reinterpret_cast<const AlterRoleSetStmt*>(command)->role)
                refuse_managed(role->rolename);
            break;
        case T_DropRoleStmt: check_dropped_roles(reinterpret_cast<const DropRoleStmt*>(command)); break;
        case T_GrantRoleStmt: check_membership(reinterpret_cast<const GrantRoleStmt*>(command)); break;
        case T_RenameStmt: {
            const auto* rename = reinterpret_cast<const RenameStmt*>(command);
            if (rename->renameType != OBJECT_ROLE) break;
            refuse_managed(rename->subname);
            refuse_managed(rename->newname);
            break;
        }
        default: break;
    }
    check_under_grant(command);
}

void check_function_name(std::uint32_t function) {
    const auto found = pg::call([&]() -> const char* {
        HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
        if (!HeapTupleIsValid(tuple)) return nullptr;
        const auto* procedure = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
        const bool elsewhere = procedure->pronamespace != PG_CATALOG_NAMESPACE;
        const char* name = elsewhere ? pstrdup(NameStr(procedure->proname)) : nullptr;
        ReleaseSysCache(tuple);
        return name;
    });
    if (found == nullptr || !std::string_view(found).starts_with(core::managed_role_prefix)) return;
    const bool ours = pg::call([&] {
        CatCList* list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(found));
        bool result = false;
        for (int i = 0; i < list->n_members && !result; ++i)
            result = reinterpret_cast<Form_pg_proc>(GETSTRUCT(&list->members[i]->tuple))->pronamespace ==
                     PG_CATALOG_NAMESPACE;
        ReleaseSysCacheList(list);
        return result;
    });
    if (!ours) return;
    throw Failure(Code::guarded, std::string("function name \"") + found + "\" is reserved by jit_access",
                  "A function of this name in another schema could capture the calls of people who mean jit_access.",
                  "Choose another name.");
}

void check_drop(std::uint32_t object_class, std::uint32_t object) {
    if (object_class == ExtensionRelationId) {
        if (object != pg::call([] { return get_extension_oid("jit_access", true); })) return;
    } else {
        const std::string control(settings::database);
        if (object != pg::call([&] { return get_database_oid(control.c_str(), true); })) return;
    }
    for (const auto& slot : board->used_slots()) {
        const auto state = slot.state.load();
        if (state != SlotState::live && state != SlotState::over) continue;
        throw Failure(
            Code::live_grants, "jit_access cannot be dropped",
            "Grant " + std::to_string(slot.id.load()) + " is live or not cleaned up yet; nobody would end it.",
            "End the grants first: SELECT jit_revoke(id) FROM jit_access.active_grants.");
    }
}

}  // namespace jit::guard
