#include "jit_access/statements/guard_managed.hpp"

#include <string>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/role.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/version_shims.hpp"
#include "jit_access/pg/worker.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/statements/guard_named_roles.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
}

namespace jit::guard {

namespace {

using core::Code;
using core::Failure;

bool is_superuser_command() { return pg::is_superuser(pg::current_user()); }

// Superusers may repair managed roles by hand. The worker reports the difference as drift.
void refuse_managed(const char* role) {
    if (is_managed(role) && !is_superuser_command()) refuse_managed_role(role);
}

void check_roles(const List* roles) {
    const ListCell* cell = nullptr;
    foreach (cell, roles) {
        const auto* spec = lfirst_node(RoleSpec, cell);
        if (spec->roletype == ROLESPEC_CSTRING) refuse_managed(spec->rolename);
    }
}

bool is_group_role(std::string_view name) noexcept {
    return name == core::admin_role || name == core::auditor_role || name == core::monitor_role;
}

[[noreturn]] void refuse_group(std::string_view name) {
    throw Failure(Code::guarded, "role \"" + std::string(name) + "\" is a group role of jit_access",
                  "Its members administer, audit or monitor all access.", "Ask a superuser for it.");
}

// Group roles of the extension. Before 16, the server lets a role with CREATEROLE grant any membership. The extension
// allows only a superuser or a role with the ADMIN OPTION to grant membership in these groups.
void refuse_group_role(const char* role) {
    const std::string_view name(role != nullptr ? role : "");
    if (!is_group_role(name) || is_superuser_command()) return;
    const auto group = pg::find_role(name);
    if (group && pg::has_admin_option(pg::current_user(), *group)) return;
    refuse_group(name);
}

// Attributes and names of the group roles. A group role with LOGIN would be a user who counts as a member of the group.
// Before 16, every role with CREATEROLE could give LOGIN to such a role. The ADMIN OPTION allows changes to the members
// only.
void refuse_group_change(const char* role) {
    const std::string_view name(role != nullptr ? role : "");
    if (is_group_role(name) && !is_superuser_command()) refuse_group(name);
}

// The grammar delivers granted roles as privileges, with the name of the role as the name of the privilege.
void check_membership(const GrantRoleStmt* grant) {
    const ListCell* cell = nullptr;
    foreach (cell, grant->granted_roles) {
        const char* name = lfirst_node(AccessPriv, cell)->priv_name;
        refuse_managed(name);
        refuse_group_role(name);
    }
    check_roles(grant->grantee_roles);
}

// CREATE ROLE ... IN ROLE, ROLE or ADMIN, and ALTER GROUP ... ADD USER, grant memberships as well.
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
            if (name == "addroleto" && spec->roletype == ROLESPEC_CSTRING) refuse_group_role(spec->rolename);
        }
    }
}

// Whether the options include members, as in ALTER GROUP ... ADD USER.
bool has_members(const List* options) {
    const ListCell* cell = nullptr;
    foreach (cell, options)
        if (std::string_view(lfirst_node(DefElem, cell)->defname) == "rolemembers") return true;
    return false;
}

void check_owner(const RoleSpec* owner) {
    if (owner != nullptr && owner->roletype == ROLESPEC_CSTRING) refuse_managed(owner->rolename);
}

// Returns the owner given in CREATE DATABASE ... OWNER; null if there is none.
const char* owner_option(const List* options) {
    const ListCell* cell = nullptr;
    foreach (cell, options) {
        auto* option = lfirst_node(DefElem, cell);
        if (std::string_view(option->defname) == "owner" && option->arg != nullptr)
            return pg::call([&] { return defGetString(option); });
    }
    return nullptr;
}

// Returns the new owner. If one ALTER TABLE names several, a managed role is preferred.
const RoleSpec* new_owner(const AlterTableStmt* alter) {
    const RoleSpec* owner = nullptr;
    const ListCell* cell = nullptr;
    foreach (cell, alter->cmds) {
        const auto* command = lfirst_node(AlterTableCmd, cell);
        if (command->subtype == AT_ChangeOwner && (owner == nullptr || is_managed(command->newowner->rolename)))
            owner = command->newowner;
    }
    return owner;
}

// The extension finds the marker role and its group roles by name. Without the marker, no backend recognizes the role
// of a grant, and a group that somebody else creates anew has other members. Therefore nobody may drop or rename these
// roles unless the extension was dropped, not even a superuser or a tool that synchronizes roles with a directory.
// Whether the extension was dropped is known only in the control database.
void refuse_removal(const char* role) {
    const std::string_view name(role != nullptr ? role : "");
    if (name != core::marker_role && !is_group_role(name)) return;
    const bool is_there = pg::find_role(name).has_value();
    if (!is_there || (pg::in_control_database() && !pg::extension_exists())) return;
    throw Failure(Code::guarded, "role \"" + std::string(name) + "\" cannot be dropped or renamed",
                  name == core::marker_role
                      ? "By it the roles of grants are recognized; without it no deadline would be enforced."
                      : "Its members administer, audit or monitor all access, and it is found by its name.",
                  std::string("First drop the extension jit_access, then the role, both in database \"") +
                      settings::database + "\".");
}

// Refuses to drop a managed role, the marker role, or the holder of a live grant.
void check_dropped_roles(const DropRoleStmt* drop) {
    check_roles(drop->roles);
    const ListCell* cell = nullptr;
    foreach (cell, drop->roles) {
        const auto* spec = lfirst_node(RoleSpec, cell);
        if (spec->roletype != ROLESPEC_CSTRING) continue;
        refuse_removal(spec->rolename);
        const auto role = pg::find_role(spec->rolename);
        if (!role) continue;
        for (const auto& slot : shared_state->used_slots())
            if (slot.requester.load() == role->oid && slot.state.load() == SlotState::live)
                throw Failure(Code::live_grants, std::string("role \"") + spec->rolename + "\" cannot be dropped",
                              "It holds grant " + std::to_string(slot.id.load()) + ", which is live.",
                              "End it first with jit_revoke(" + std::to_string(slot.id.load()) + ").");
    }
}

// REVOKE is allowed: it takes privileges away.
void check_grant(const GrantStmt* grant) {
    if (!grant->is_grant) return;
    const ListCell* cell = nullptr;
    foreach (cell, grant->grantees) {
        const auto* spec = lfirst_node(RoleSpec, cell);
        if (spec->roletype != ROLESPEC_CSTRING) continue;
        // A privilege given to a template's role would widen every live grant of the template without approval.
        refuse_managed(spec->rolename);
        if (grant->grant_option && is_managed(spec->rolename))
            throw Failure(Code::guarded, std::string("role \"") + spec->rolename + "\" cannot have a grant option",
                          "A user of the grant could pass its privileges on.", "Grant without WITH GRANT OPTION.");
    }
}

// Whether the role belongs to a grant. No template includes the privileges of such a role.
bool is_of_grant(const char* role) noexcept {
    const std::string_view name(role != nullptr ? role : "");
    return name.starts_with(core::grant_role_prefix) || name.starts_with(core::gate_role_prefix) ||
           name.starts_with(core::login_role_prefix);
}

bool are_of_grants(const List* roles) noexcept {
    const ListCell* cell = nullptr;
    foreach (cell, roles) {
        const auto* spec = lfirst_node(RoleSpec, cell);
        if (spec->roletype != ROLESPEC_CSTRING || !is_of_grant(spec->rolename)) return false;
    }
    return true;
}

// Whether the command grants the membership that gives a grant to its holder. No template includes the privileges of a
// holder.
bool gives_roles_of_grants(const GrantRoleStmt* grant) noexcept {
    const ListCell* cell = nullptr;
    foreach (cell, grant->granted_roles)
        if (!is_of_grant(lfirst_node(AccessPriv, cell)->priv_name)) return false;
    return true;
}

// Every template may give a privilege that PUBLIC has, so revoking the privilege from PUBLIC can change what a template
// may give.
bool names_public(const List* roles) noexcept {
    const ListCell* cell = nullptr;
    foreach (cell, roles)
        if (lfirst_node(RoleSpec, cell)->roletype == ROLESPEC_PUBLIC) return true;
    return false;
}

// Whether a new table will belong to a role other than the session user and will outlive the session.
bool belongs_to_another(const RangeVar* table) noexcept {
    return table->relpersistence != RELPERSISTENCE_TEMP && pg::current_user() != pg::session_user();
}

// Whether the command may change the result of templates::check_closure(). The commands that cannot are listed; every
// other command may. New tables, indexes and sequences are harmless if they belong to the session user, because a
// template may have any privilege that default privileges add to them.
bool may_change_closures(const Node* command) noexcept {
    switch (nodeTag(command)) {
        case T_TransactionStmt:
            return reinterpret_cast<const TransactionStmt*>(command)->kind == TRANS_STMT_COMMIT_PREPARED;
        case T_GrantStmt: {
            const auto* grant = reinterpret_cast<const GrantStmt*>(command);
            return grant->is_grant ? !are_of_grants(grant->grantees) : names_public(grant->grantees);
        }
        case T_GrantRoleStmt: {
            const auto* grant = reinterpret_cast<const GrantRoleStmt*>(command);
            return grant->is_grant && !are_of_grants(grant->grantee_roles) && !gives_roles_of_grants(grant);
        }
        case T_CreateRoleStmt: return !is_of_grant(reinterpret_cast<const CreateRoleStmt*>(command)->role);
        case T_AlterRoleStmt: return !is_of_grant(reinterpret_cast<const AlterRoleStmt*>(command)->role->rolename);
        case T_VariableSetStmt:
        case T_VariableShowStmt:
        case T_FetchStmt:
        case T_DeclareCursorStmt:
        case T_ClosePortalStmt:
        case T_DiscardStmt:
        case T_PrepareStmt:
        case T_ExecuteStmt:
        case T_DeallocateStmt:
        case T_ExplainStmt:
        case T_CallStmt:
        case T_DoStmt:
        case T_CopyStmt:
        case T_ListenStmt:
        case T_UnlistenStmt:
        case T_NotifyStmt:
        case T_LockStmt:
        case T_ConstraintsSetStmt:
        case T_CheckPointStmt:
        case T_VacuumStmt:
        case T_ClusterStmt:
        case T_ReindexStmt:
        case T_TruncateStmt:
        case T_CommentStmt:
        case T_LoadStmt:
        case T_DropStmt:
        case T_DropRoleStmt:
        case T_DropOwnedStmt:
        case T_DropdbStmt: return false;
        case T_CreateStmt: return belongs_to_another(reinterpret_cast<const CreateStmt*>(command)->relation);
        case T_CreateTableAsStmt:
            return belongs_to_another(reinterpret_cast<const CreateTableAsStmt*>(command)->into->rel);
        case T_CreateSeqStmt: return belongs_to_another(reinterpret_cast<const CreateSeqStmt*>(command)->sequence);
        case T_RefreshMatViewStmt:
        case T_IndexStmt:
        case T_AlterSeqStmt:
        case T_CreateStatsStmt: return pg::current_user() != pg::session_user();
        default: return true;
    }
}

}  // namespace

void check_managed_roles(const Node* command) {
    if (may_change_closures(command)) commit_actions::change_closures();
    switch (nodeTag(command)) {
        case T_GrantStmt: check_grant(reinterpret_cast<const GrantStmt*>(command)); break;
        case T_AlterOwnerStmt: check_owner(reinterpret_cast<const AlterOwnerStmt*>(command)->newowner); break;
        case T_AlterTableStmt: check_owner(new_owner(reinterpret_cast<const AlterTableStmt*>(command))); break;
        case T_ReassignOwnedStmt: check_owner(reinterpret_cast<const ReassignOwnedStmt*>(command)->newrole); break;
        case T_CreateSchemaStmt: check_owner(reinterpret_cast<const CreateSchemaStmt*>(command)->authrole); break;
        case T_CreatedbStmt:
            refuse_managed(owner_option(reinterpret_cast<const CreatedbStmt*>(command)->options));
            break;
        case T_CreateUserMappingStmt: check_owner(reinterpret_cast<const CreateUserMappingStmt*>(command)->user); break;
        case T_CreateRoleStmt: {
            const auto* create = reinterpret_cast<const CreateRoleStmt*>(command);
            refuse_managed(create->role);
            refuse_group_change(create->role);
            check_role_options(create->options);
            break;
        }
        case T_AlterRoleStmt: {
            const auto* alter = reinterpret_cast<const AlterRoleStmt*>(command);
            refuse_managed(alter->role->rolename);
            if (has_members(alter->options))
                refuse_group_role(alter->role->rolename);
            else
                refuse_group_change(alter->role->rolename);
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
            refuse_removal(rename->subname);
            refuse_group_change(rename->subname);
            refuse_group_change(rename->newname);
            break;
        }
        case T_CommentStmt: {
            const auto* comment = reinterpret_cast<const CommentStmt*>(command);
            if (comment->objtype == OBJECT_ROLE) refuse_managed(strVal(comment->object));
            break;
        }
        case T_SecLabelStmt: {
            const auto* label = reinterpret_cast<const SecLabelStmt*>(command);
            if (label->objtype == OBJECT_ROLE) refuse_managed(strVal(label->object));
            break;
        }
        default: break;
    }
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
        throw Failure(Code::live_grants, "jit_access cannot be dropped",
                      "Grant " + std::to_string(slot.id.load()) +
                          " is live or not cleaned up yet; without jit_access it would never end.",
                      "End the grants first: SELECT jit_revoke(id) FROM jit_access.active_grants.");
    }
    // Suspended and unconfirmed grants have no live slot, but their roles exist.
    const auto marker = pg::find_role(core::marker_role);
    if (!marker) return;
    for (const auto role : pg::members(*marker))
        if (const auto name = pg::role_name(role); name && !name->starts_with(core::quarantine_role_prefix))
            throw Failure(Code::live_grants, "jit_access cannot be dropped",
                          "Role \"" + *name + "\" of a grant still exists; without jit_access it would remain.",
                          "End the grants first: SELECT jit_revoke(id) FROM jit_access.active_grants.");
}

}  // namespace jit::guard
