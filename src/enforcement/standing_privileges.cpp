#include "jit_access/enforcement/standing_privileges.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "jit_access/enforcement/effective_grants.hpp"

namespace jit::standing_privileges {

namespace {

using pg::AclBits;
using pg::RoleId;

// Cache entries are valid for one generation. An entry is stored with the generation that was current before its
// lookups, so an invalidation during a lookup makes the entry invalid at once.
std::uint64_t current_generation = 1;

// The role whose privileges the server would check for a statement of this session if there were no grants.
struct Subject {
    std::uint64_t user_key = 0;  // as pg::packed_user_ids() packs it
    RoleId session{};
    std::uint64_t valid_for = 0;
    RoleId role{};
};
Subject subject_cache;

struct Roles {
    RoleId member{};
    std::uint64_t valid_for = 0;
    bool is_superuser = false;
    std::vector<RoleId> all;  // roles whose privileges `member` has, `member` first
};
std::array<Roles, 4> roles_cache;  // the user, and owners of views
std::size_t next_roles_entry = 0;

struct RelationPrivileges {
    std::uint32_t relation = 0;
    RoleId role{};
    std::uint64_t valid_for = 0;
    AclBits privileges = 0;
    bool depends_on_columns = false;
};
std::array<RelationPrivileges, 256> relation_cache;

std::uint64_t function_generation = 1;  // counts changes of functions, which affect only function_cache

struct FunctionEntry {
    std::uint32_t function = 0;
    RoleId role{};
    std::uint64_t valid_for = 0;
    std::uint64_t function_valid_for = 0;
    FunctionNeeds needs;
};
std::array<FunctionEntry, 256> function_cache;

// Inside SECURITY DEFINER functions the current user is the function's owner. After SET ROLE it is the chosen role,
// which counts only if the session user has it without a grant.
RoleId find_subject() {
    const RoleId current = pg::current_user();
    const RoleId session = pg::session_user();
    if (current == session || current != pg::outer_user()) return current;
    if (enforcement::is_grant_role(current)) return session;
    return enforcement::is_session_member_without_grant(current) ? current : session;
}

RoleId subject() {
    const auto user_key = pg::packed_user_ids();
    const RoleId session = pg::session_user();
    if (subject_cache.valid_for != current_generation || subject_cache.user_key != user_key ||
        subject_cache.session != session) {
        const auto valid_for = current_generation;
        subject_cache = {.user_key = user_key, .session = session, .valid_for = valid_for, .role = find_subject()};
    }
    return subject_cache.role;
}

void collect_roles(RoleId from, std::vector<RoleId>& roles) {
    roles.assign(1, from);
    for (std::size_t i = 0; i < roles.size(); ++i)
        for (const RoleId role : pg::inherited_memberships(roles[i]))
            if (std::find(roles.begin(), roles.end(), role) == roles.end() && !enforcement::is_grant_role(role))
                roles.push_back(role);
}

const Roles& roles_of(RoleId role) {
    for (const auto& entry : roles_cache)
        if (entry.valid_for == current_generation && entry.member == role) return entry;
    Roles& entry = roles_cache.at(next_roles_entry++ % roles_cache.size());
    const auto valid_for = current_generation;
    entry.valid_for = 0;
    entry.member = role;
    entry.is_superuser = pg::is_superuser(role);
    collect_roles(role, entry.all);
    entry.valid_for = valid_for;
    return entry;
}

const RelationPrivileges& relation_privileges(std::uint32_t relation, const Roles& roles) {
    RelationPrivileges& entry = relation_cache.at((relation ^ roles.member.oid) % relation_cache.size());
    if (entry.valid_for == current_generation && entry.relation == relation && entry.role == roles.member) return entry;
    const auto valid_for = current_generation;
    entry.valid_for = 0;
    entry.relation = relation;
    entry.role = roles.member;
    entry.privileges = pg::privileges_on_relation(relation, roles.all);
    entry.depends_on_columns = pg::has_column_privileges(relation);
    entry.valid_for = valid_for;
    return entry;
}

}  // namespace

StandingPrivileges find(const pg::CheckedRelation& checked) {
    const auto& roles = roles_of(checked.owner ? checked.owner : subject());
    if (roles.is_superuser) return {.privileges = checked.privileges};
    const auto& held = relation_privileges(checked.relation, roles);
    const AclBits standing = checked.privileges & held.privileges;
    const AclBits missing = checked.privileges & ~standing;
    if (missing == 0 || !held.depends_on_columns || !checked.column_privileges_suffice) return {.privileges = standing};
    return {.privileges = standing | pg::privileges_on_columns(checked, missing, roles.all),
            .depends_on_columns = true};
}

AclBits on_object(std::uint32_t object_class, std::uint32_t object) {
    const auto& roles = roles_of(subject());
    return roles.is_superuser ? ~AclBits{0} : pg::privileges_on_object(object_class, object, roles.all);
}

FunctionNeeds find_function(std::uint32_t function) {
    const RoleId role = subject();
    FunctionEntry& entry = function_cache.at((function ^ role.oid) % function_cache.size());
    if (entry.function == function && entry.role == role && entry.valid_for == current_generation &&
        entry.function_valid_for == function_generation)
        return entry.needs;
    const auto valid_for = current_generation;
    const auto function_valid_for = function_generation;
    const auto& roles = roles_of(role);
    const auto facts = pg::function_access(function, roles.all);
    entry = {.function = function,
             .role = role,
             .valid_for = valid_for,
             .function_valid_for = function_valid_for,
             .needs = {.may_execute = roles.is_superuser || facts.may_execute,
                       .checks_privileges_itself = facts.is_compiled && facts.is_volatile}};
    return entry.needs;
}

std::uint64_t generation() noexcept { return current_generation; }
void invalidate() noexcept { ++current_generation; }
void invalidate_functions() noexcept { ++function_generation; }

}  // namespace jit::standing_privileges
