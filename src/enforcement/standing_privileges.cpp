#include "jit_access/enforcement/standing_privileges.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "jit_access/enforcement/effective_grants.hpp"

namespace jit::standing_privileges {

namespace {

using pg::AclBits;
using pg::RoleId;

std::uint64_t generation = 1;  // of everything that is known here

// With whose privileges a statement of this session would be checked if there were no grants.
struct Subject {
    std::uint64_t who = 0;
    RoleId session{};
    std::uint64_t seen = 0;
    RoleId role{};
};
Subject subject_before;

struct Roles {
    RoleId of{};
    std::uint64_t seen = 0;
    bool is_superuser = false;
    std::vector<RoleId> all;  // whose privileges `of` has
};
std::array<Roles, 4> roles_before;  // the user, and owners of views
std::size_t next_roles = 0;

struct Given {
    std::uint32_t relation = 0;
    RoleId role{};
    std::uint64_t seen = 0;
    AclBits privileges = 0;
    bool by_column = false;
};
std::array<Given, 256> given_before;

RoleId find_subject() {
    const RoleId current = pg::current_user();
    const RoleId session = pg::session_user();
    if (current == session || current != pg::outer_user()) return current;
    if (enforcement::is_grant_role(current)) return session;
    return enforcement::reaches_without_grant(current) ? current : session;
}

RoleId subject() {
    const auto who = pg::packed_user_ids();
    const RoleId session = pg::session_user();
    if (subject_before.seen != generation || subject_before.who != who || subject_before.session != session) {
        const auto seen = generation;
        subject_before = {.who = who, .session = session, .seen = seen, .role = find_subject()};
    }
    return subject_before.role;
}

void collect(RoleId from, std::vector<RoleId>& roles) {
    roles.assign(1, from);
    for (std::size_t i = 0; i < roles.size(); ++i)
        for (const RoleId role : pg::inherited_memberships(roles[i]))
            if (std::find(roles.begin(), roles.end(), role) == roles.end() && !enforcement::is_grant_role(role))
                roles.push_back(role);
}

const Roles& roles_of(RoleId role) {
    for (const auto& known : roles_before)
        if (known.seen == generation && known.of == role) return known;
    Roles& found = roles_before.at(next_roles++ % roles_before.size());
    const auto seen = generation;
    found.seen = 0;
    found.of = role;
    found.is_superuser = pg::is_superuser(role);
    collect(role, found.all);
    found.seen = seen;
    return found;
}

const Given& given(std::uint32_t relation, const Roles& roles) {
    Given& known = given_before.at((relation ^ roles.of.oid) % given_before.size());
    if (known.seen == generation && known.relation == relation && known.role == roles.of) return known;
    const auto seen = generation;
    known.seen = 0;
    known.relation = relation;
    known.role = roles.of;
    known.privileges = pg::privileges_on_relation(relation, roles.all);
    known.by_column = pg::has_column_privileges(relation);
    known.seen = seen;
    return known;
}

}  // namespace

Own privileges(const pg::CheckedRelation& checked) {
    const auto& roles = roles_of(checked.owner ? checked.owner : subject());
    if (roles.is_superuser) return {.privileges = checked.privileges};
    const auto& on = given(checked.relation, roles);
    const AclBits own = checked.privileges & on.privileges;
    const AclBits missing = checked.privileges & ~own;
    if (missing == 0 || !on.by_column || !checked.column_privileges_suffice) return {.privileges = own};
    return {.privileges = own | pg::privileges_on_columns(checked, missing, roles.all), .by_column = true};
}

std::uint64_t changes() noexcept { return generation; }
void forget() noexcept { ++generation; }

}  // namespace jit::standing_privileges
