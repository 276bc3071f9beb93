#include "jit_access/statements/guard_managed.hpp"

#include <string>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/role.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/version.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/shared_state.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace jit::guard {

namespace {

using core::Code;
using core::Failure;

bool is_managed(const char* role) noexcept {
    if (role == nullptr) return false;
    const std::string_view name(role);
    return name.starts_with(core::grant_role_prefix) || name.starts_with(core::gate_role_prefix) ||
           name.starts_with(core::login_role_prefix) || name.starts_with(core::template_role_prefix) ||
           name.starts_with(core::drill_role_prefix) || name == core::marker_role;
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

// Before 16 CREATEROLE may give any membership; ours are given by superusers and by who has the ADMIN OPTION.
void refuse_office(const char* role) {
    const std::string_view name(role != nullptr ? role : "");
    if ((name != core::admin_role && name != core::auditor_role && name != core::monitor_role) || by_superuser())
        return;
    const auto office = pg::find_role(name);
    if (office && pg::has_admin_option(pg::current_user(), *office)) return;
    throw Failure(Code::guarded, "role \"" + std::string(name) + "\" is an office of jit_access",
                  "Its members administer, audit or monitor all access.", "Ask a superuser for it.");
}

// Granted roles come as privileges, with the role's name as the privilege.
void check_membership(const GrantRoleStmt* grant) {
    const ListCell* cell = nullptr;
    foreach (cell, grant->granted_roles) {
        const char* name = lfirst_node(AccessPriv, cell)->priv_name;
        refuse_managed(name);
        refuse_office(name);
    }
    check_roles(grant->grantee_roles);
}

// CREATE ROLE ... IN ROLE, ROLE, ADMIN and ALTER GROUP ... ADD USER give memberships as well.
void check_role_options(const List* options) {
    const ListCell* cell = nullptr;
    foreach (cell, options) {
        const auto* option = lfirst_node(DefElem, cell);
        const std::string_view name(option->defname);
        if (name != "addroleto" && name != "rolemembers" && name != "adminmembers") continue;
        const auto* roles = reinterpret_cast<const List*>(option->arg);
        check_roles(roles);
        const ListCell* role = nullptr;
        foreach (role, roles) {
            const auto* spec = lfirst_node(RoleSpec, role);
            if (name == "addroleto" && spec->roletype == ROLESPEC_CSTRING) refuse_office(spec->rolename);
        }
    }
}

// ALTER GROUP ... ADD USER.
bool has_members(const List* options) {
    const ListCell* cell = nullptr;
    foreach (cell, options)
        if (std::string_view(lfirst_node(DefElem, cell)->defname) == "rolemembers") return true;
    return false;
}

void check_owner(const RoleSpec* owner) {
    if (owner != nullptr && owner->roletype == ROLESPEC_CSTRING) refuse_managed(owner->rolename);
}

// A managed owner among the changes, or else any.
const RoleSpec* owner_in(const AlterTableStmt* alter) {
    const RoleSpec* owner = nullptr;
    const ListCell* cell = nullptr;
    foreach (cell, alter->cmds) {
        const auto* command = lfirst_node(AlterTableCmd, cell);
        if (command->subtype == AT_ChangeOwner && (owner == nullptr || is_managed(command->newowner->rolename)))
            owner = command->newowner;
    }
    return owner;
}

// Without its name no backend would recognise the role of a grant: that is for nobody, not for superusers either.
void refuse_marker(const char* role) {
    if (role == nullptr || std::string_view(role) != core::marker_role) return;
    const auto marker = pg::find_role(core::marker_role);
    if (!marker || pg::members(*marker).empty()) return;
    throw Failure(Code::live_grants, std::string("role \"") + role + "\" has to stay",
                  "Roles of grants are its members; without it nothing would hold their deadlines.",
                  "End the grants first: SELECT jit_revoke(id) FROM jit_access.active_grants.");
}

void check_dropped_roles(const DropRoleStmt* drop) {
    check_roles(drop->roles);
    const ListCell* cell = nullptr;
    foreach (cell, drop->roles) {
        const auto* spec = lfirst_node(RoleSpec, cell);
        if (spec->roletype != ROLESPEC_CSTRING) continue;
        refuse_marker(spec->rolename);
        const auto role = pg::find_role(spec->rolename);
        if (!role) continue;
        for (const auto& slot : shared_state->used_slots())
            if (slot.requester.load() == role->oid && slot.state.load() == SlotState::live)
                throw Failure(Code::live_grants, std::string("role \"") + spec->rolename + "\" cannot be dropped",
                              "It holds grant " + std::to_string(slot.id.load()) + ", which is live.",
                              "End it first with jit_revoke(" + std::to_string(slot.id.load()) + ").");
    }
}

// The tables of pg_cron are guarded like our own.
bool is_extension_error(const char* schema) noexcept {
    return schema == nullptr || std::string_view(schema) == "jit_access" || std::string_view(schema) == "cron";
}

// Whether the objects are plainly not the extension's own.
bool concerns_strangers_only(const GrantStmt* grant) {
    const bool tables = grant->objtype == OBJECT_TABLE || grant->objtype == OBJECT_SEQUENCE;
    const bool names = grant->targtype == ACL_TARGET_ALL_IN_SCHEMA || grant->objtype == OBJECT_SCHEMA;
    if (!tables && !names) return false;
    const ListCell* cell = nullptr;
    foreach (cell, grant->objects)
        if (is_extension_error(names ? strVal(lfirst(cell)) : lfirst_node(RangeVar, cell)->schemaname)) return false;
    return true;
}

// Whether it may give what check_closure() looks for. No list of privileges means all of them.
bool gives_more(const GrantStmt* grant) {
    if (grant->grant_option || grant->privileges == NIL || !concerns_strangers_only(grant)) return true;
    const ListCell* cell = nullptr;
    foreach (cell, grant->privileges) {
        const char* name = lfirst_node(AccessPriv, cell)->priv_name;
        if (name == nullptr || std::string_view(name) == "create" || std::string_view(name) == "trigger") return true;
    }
    return false;
}

void check_grant(const GrantStmt* grant) {
    if (!grant->is_grant) return;
    if (gives_more(grant)) commit_actions::change_closures();
    const ListCell* cell = nullptr;
    foreach (cell, grant->grantees) {
        const auto* spec = lfirst_node(RoleSpec, cell);
        if (spec->roletype != ROLESPEC_CSTRING) continue;
        // An owner who gave to a template what nobody approved would widen every grant of it.
        refuse_managed(spec->rolename);
        if (grant->grant_option && is_managed(spec->rolename))
            throw Failure(Code::guarded, std::string("role \"") + spec->rolename + "\" cannot have a grant option",
                          "Whoever uses a grant could pass its privileges on.", "Grant without WITH GRANT OPTION.");
    }
}

// Not the commands that every session sends all the time.
bool makes_objects(const Node* command) noexcept {
    switch (nodeTag(command)) {
        case T_TransactionStmt:
        case T_VariableSetStmt:
        case T_VariableShowStmt:
        case T_FetchStmt:
        case T_DeclareCursorStmt:
        case T_ClosePortalStmt:
        case T_DiscardStmt:
        case T_PrepareStmt:
        case T_DeallocateStmt:
        case T_CopyStmt:
        case T_ListenStmt:
        case T_UnlistenStmt:
        case T_NotifyStmt:
        case T_LockStmt: return false;
        default: return true;
    }
}

}  // namespace

void check_managed(const Node* command) {
    // What is made under SET ROLE belongs to that role, which may be a template's.
    if (GetOuterUserId() != GetSessionUserId() && makes_objects(command)) commit_actions::change_closures();
    switch (nodeTag(command)) {
        case T_GrantStmt: check_grant(reinterpret_cast<const GrantStmt*>(command)); break;
        case T_AlterOwnerStmt:
            check_owner(reinterpret_cast<const AlterOwnerStmt*>(command)->newowner);
            commit_actions::change_closures();
            break;
        case T_AlterTableStmt:
            check_owner(owner_in(reinterpret_cast<const AlterTableStmt*>(command)));
            commit_actions::change_closures();
            break;
        case T_ReassignOwnedStmt:
            check_owner(reinterpret_cast<const ReassignOwnedStmt*>(command)->newrole);
            commit_actions::change_closures();
            break;
        case T_TransactionStmt:
            if (reinterpret_cast<const TransactionStmt*>(command)->kind == TRANS_STMT_COMMIT_PREPARED)
                commit_actions::change_closures();
            break;
        case T_CreateRoleStmt: {
            const auto* create = reinterpret_cast<const CreateRoleStmt*>(command);
            refuse_managed(create->role);
            check_role_options(create->options);
            break;
        }
        case T_AlterRoleStmt: {
            const auto* alter = reinterpret_cast<const AlterRoleStmt*>(command);
            refuse_managed(alter->role->rolename);
            refuse_office(has_members(alter->options) ? alter->role->rolename : nullptr);
            check_role_options(alter->options);
            break;
        }
        case T_AlterDefaultPrivilegesStmt:
            check_grant(reinterpret_cast<const AlterDefaultPrivilegesStmt*>(command)->action);
            break;
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
            refuse_marker(rename->subname);
            break;
        }
        default: break;
    }
}

void check_function_name(std::uint32_t function) {
    // The row is not visible to the command that makes or renames it; the caches have it only afterwards.
    const auto found = pg::call([&]() -> const char* {
        Relation procedures = table_open(ProcedureRelationId, AccessShareLock);
        ScanKeyData key;
        ScanKeyInit(&key, Anum_pg_proc_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(function));
        SysScanDesc scan = systable_beginscan(procedures, ProcedureOidIndexId, true, SnapshotSelf, 1, &key);
        const char* name = nullptr;
        if (HeapTuple tuple = systable_getnext(scan); HeapTupleIsValid(tuple)) {
            const auto* procedure = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
            if (procedure->pronamespace != PG_CATALOG_NAMESPACE) name = pstrdup(NameStr(procedure->proname));
        }
        systable_endscan(scan);
        table_close(procedures, AccessShareLock);
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
    for (const auto& slot : shared_state->used_slots()) {
        const auto state = slot.state.load();
        if (state != SlotState::live && state != SlotState::over) continue;
        throw Failure(
            Code::live_grants, "jit_access cannot be dropped",
            "Grant " + std::to_string(slot.id.load()) + " is live or not cleaned up yet; nobody would end it.",
            "End the grants first: SELECT jit_revoke(id) FROM jit_access.active_grants.");
    }
    // What is suspended, or not confirmed yet, is not on the board.
    const auto marker = pg::find_role(core::marker_role);
    if (!marker) return;
    for (const auto role : pg::members(*marker))
        if (const auto name = pg::role_name(role))
            throw Failure(Code::live_grants, "jit_access cannot be dropped",
                          "Role \"" + *name + "\" of a grant still exists; nobody would remove it.",
                          "End the grants first: SELECT jit_revoke(id) FROM jit_access.active_grants.");
}

}  // namespace jit::guard
