#include "jit_access/statements/statement_objects.hpp"

#include <algorithm>

#include "jit_access/enforcement/standing_privileges.hpp"
#include "jit_access/pg/redact_secrets.hpp"
#include "jit_access/pg/relation.hpp"
#include "jit_access/pg/settings.hpp"

extern "C" {
#include "nodes/params.h"
#include "tcop/pquery.h"
}

namespace jit::describe {

StatementObjects objects;

namespace {

constexpr bool is_blank(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The privileges that the server checks for each recorded privilege. nextval() and LOCK TABLE need any one of several.
constexpr pg::AclBits any_for_nextval = ACL_USAGE | ACL_UPDATE;
constexpr pg::AclBits any_for_lock = ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE;
constexpr std::pair<std::uint32_t, pg::AclBits> checked_privileges[] = {
    {core::privilege_select, ACL_SELECT},     {core::privilege_insert, ACL_INSERT},
    {core::privilege_update, ACL_UPDATE},     {core::privilege_delete, ACL_DELETE},
    {core::privilege_truncate, ACL_TRUNCATE}, {core::privilege_references, ACL_REFERENCES},
    {core::privilege_trigger, ACL_TRIGGER},   {core::privilege_usage, any_for_nextval},
    {core::privilege_owner, pg::ownership},   {core::privilege_maintain, pg::to_maintain},
    {core::privilege_lock, any_for_lock}};

// Returns which of a command's privileges on a relation need no grant. The columns of a command are not known here, so
// privileges on single columns do not count.
std::uint32_t standing_part(Oid relation, std::uint32_t privileges) {
    pg::AclBits checked = 0;
    for (const auto& [privilege, bits] : checked_privileges)
        if ((privileges & privilege) != 0) checked |= bits;
    const auto held =
        standing_privileges::find({.relation = relation, .privileges = checked, .column_privileges_suffice = false})
            .privileges;
    std::uint32_t standing = 0;
    for (const auto& [privilege, bits] : checked_privileges)
        if ((privileges & privilege) != 0 && (held & bits) != 0) standing |= privilege;
    return standing;
}

}  // namespace

void StatementObjects::add(Oid relation, std::uint32_t privileges, std::uint32_t standing) {
    auto* use = find(relation);
    if (use == nullptr) {
        append(pg::relation_name(relation), privileges, standing, relation);
        return;
    }
    // A privilege that the statement needs twice, once as the user and once as the owner of a view, is standing only if
    // it is standing both times.
    const auto again = use->privileges & privileges;
    use->own = (use->own | standing) & ~(again & ~(use->own & standing));
    use->privileges |= privileges;
}

void StatementObjects::add(std::string_view name, std::uint32_t privileges) {
    for (std::uint32_t i = 0; i < stored_; ++i)
        if (uses_[i].name == name) {
            uses_[i].privileges |= privileges;
            return;
        }
    append(name, privileges, 0, InvalidOid);
}

core::ObjectUse* StatementObjects::find(Oid relation) noexcept {
    for (std::uint32_t i = 0; i < stored_; ++i)
        if (relations_[i] == relation) return &uses_[i];
    return nullptr;
}

void StatementObjects::append(std::string_view name, std::uint32_t privileges, std::uint32_t standing, Oid relation) {
    ++count_;
    // Objects that the user may use without the grant are removed to make room for one that needs it. An object that
    // needs the grant can therefore not be kept out of the record by adding others.
    const bool needs_grant = (privileges & ~standing) != 0;
    while (!has_room(name))
        if (!needs_grant || !remove_standing()) return;
    name.copy(text_.data() + used_, name.size());
    uses_[stored_] = {privileges, standing, {text_.data() + used_, name.size()}};
    relations_[stored_++] = relation;
    used_ += name.size();
}

bool StatementObjects::has_room(std::string_view name) const noexcept {
    return stored_ < core::max_objects && name.size() <= text_.size() - used_;
}

// The names are stored without gaps, in the order of the objects.
bool StatementObjects::remove_standing() noexcept {
    for (std::uint32_t i = stored_; i-- > 0;) {
        if ((uses_[i].privileges & ~uses_[i].own) != 0) continue;
        const auto size = uses_[i].name.size();
        const auto at = static_cast<std::size_t>(uses_[i].name.data() - text_.data());
        std::copy(text_.begin() + static_cast<std::ptrdiff_t>(at + size),
                  text_.begin() + static_cast<std::ptrdiff_t>(used_), text_.begin() + static_cast<std::ptrdiff_t>(at));
        used_ -= size;
        for (--stored_; i < stored_; ++i) {
            uses_[i] = {
                uses_[i + 1].privileges, uses_[i + 1].own, {uses_[i + 1].name.data() - size, uses_[i + 1].name.size()}};
            relations_[i] = relations_[i + 1];
        }
        return true;
    }
    return false;
}

std::string_view statement_text(const char* source, int location, int length) noexcept {
    if (source == nullptr) return {};
    std::string_view text(source);
    if (location > 0 && static_cast<std::size_t>(location) <= text.size())
        text.remove_prefix(static_cast<std::size_t>(location));
    if (location >= 0 && length > 0) text = text.substr(0, static_cast<std::size_t>(length));
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && (is_blank(text.back()) || text.back() == ';')) text.remove_suffix(1);
    return text;
}

std::uint32_t recorded_privileges(AclMode mode) noexcept {
    return ((mode & ACL_SELECT) != 0 ? core::privilege_select : 0U) |
           ((mode & ACL_INSERT) != 0 ? core::privilege_insert : 0U) |
           ((mode & ACL_UPDATE) != 0 ? core::privilege_update : 0U) |
           ((mode & ACL_DELETE) != 0 ? core::privilege_delete : 0U);
}

std::string_view bound_parameters(ParamListInfo parameters, const char* source) {
    if (!settings::log_parameters || parameters == nullptr || parameters->numParams == 0) return {};
    if (source != nullptr && pg::may_hold_code(source)) return {};
    const char* text = pg::call([=] { return BuildParamLogString(parameters, nullptr, settings::statement_limit); });
    return text != nullptr ? text : std::string_view();
}

bool runs_without_portal() noexcept { return ActivePortal == nullptr; }

void add_relation(Oid relation, std::uint32_t privileges) {
    objects.add(relation, privileges, standing_part(relation, privileges));
}

}  // namespace jit::describe
