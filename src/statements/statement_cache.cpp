#include "jit_access/statements/statement_cache.hpp"

#include <algorithm>

#include "jit_access/enforcement/standing_privileges.hpp"
#include "jit_access/pg/version_shims.hpp"

namespace jit::statement_cache {

namespace {

// The part of pg::CheckedRelation on which a description depends, unless single columns matter.
struct Checked {
    std::uint32_t relation;
    std::uint32_t owner;
    pg::AclBits privileges;

    bool operator==(const Checked&) const = default;
};

// The relations that a query checks, and those on which its plan depends.
struct CheckedObjects {
    std::uint32_t checked_count = 0;
    std::uint32_t dependency_count = 0;
    std::array<Checked, 6> checked{};
    std::array<std::uint32_t, 12> dependencies{};

    bool operator==(const CheckedObjects& other) const noexcept {
        return std::equal(checked.begin(), checked.begin() + checked_count, other.checked.begin(),
                          other.checked.begin() + other.checked_count) &&
               std::equal(dependencies.begin(), dependencies.begin() + dependency_count, other.dependencies.begin(),
                          other.dependencies.begin() + other.dependency_count);
    }
};

// Texts and names are copied into the entry, and the views of `statement` point to these copies.
struct Entry {
    std::uint64_t generation = 0;  // 0: empty
    std::uint64_t user_key = 0;
    std::uint32_t session_user = 0;
    CheckedObjects objects_checked;
    std::array<char, 256> text;
    std::array<core::ObjectUse, 6> objects;
    std::array<char, 512> names;
    recorder::Statement statement;
    recorder::Encoded encoded;
};

std::array<Entry, 32> entries;

Entry& entry_for(std::string_view text) noexcept { return entries[text.size() % entries.size()]; }

// Returns false if there are more than fit in an entry.
bool collect_checked(const PlannedStmt* plan, CheckedObjects& objects_checked) noexcept {
    bool fits = true;
    pg::for_each_checked_relation(plan, [&](const pg::CheckedRelation& checked) {
        fits = fits && objects_checked.checked_count < objects_checked.checked.size();
        if (fits)
            objects_checked.checked[objects_checked.checked_count++] = {checked.relation, checked.owner.oid,
                                                                        checked.privileges};
    });
    const List* relations = plan->relationOids;
    if (!fits || static_cast<std::size_t>(list_length(relations)) > objects_checked.dependencies.size()) return false;
    for (int i = 0; i < list_length(relations); ++i)
        objects_checked.dependencies[objects_checked.dependency_count++] = list_nth_oid(relations, i);
    return true;
}

bool copy_objects(std::span<const core::ObjectUse> objects, Entry& entry) noexcept {
    if (objects.size() > entry.objects.size()) return false;
    std::size_t used = 0;
    for (std::size_t i = 0; i < objects.size(); ++i) {
        const auto name = objects[i].name;
        if (name.size() > entry.names.size() - used) return false;
        name.copy(entry.names.data() + used, name.size());
        entry.objects[i] = {objects[i].privileges, objects[i].own, {entry.names.data() + used, name.size()}};
        used += name.size();
    }
    return true;
}

}  // namespace

const recorder::Statement* find(const PlannedStmt* plan, std::string_view text, const char* tag) noexcept {
    const Entry& entry = entry_for(text);
    CheckedObjects objects_checked;
    const bool is_equal = entry.generation == standing_privileges::generation() && entry.statement.tag.data() == tag &&
                          entry.user_key == pg::packed_user_ids() && entry.session_user == pg::session_user().oid &&
                          entry.statement.text == text && collect_checked(plan, objects_checked) &&
                          objects_checked == entry.objects_checked;
    return is_equal ? &entry.statement : nullptr;
}

// The entry is marked empty first, so that if something does not fit, neither the old description nor an incomplete new
// one is found.
recorder::Encoded* store(const PlannedStmt* plan, const recorder::Statement& statement,
                         std::uint64_t generation) noexcept {
    const auto text = statement.text;
    Entry& entry = entry_for(text);
    entry.generation = 0;
    entry.encoded.grants_serial = 0;
    CheckedObjects objects_checked;
    if (!collect_checked(plan, objects_checked) || text.size() > entry.text.size() ||
        !copy_objects(statement.objects, entry))
        return nullptr;
    entry.objects_checked = objects_checked;
    text.copy(entry.text.data(), text.size());
    entry.user_key = pg::packed_user_ids();
    entry.session_user = pg::session_user().oid;
    entry.statement = statement;
    entry.statement.encoded = &entry.encoded;
    entry.statement.text = {entry.text.data(), text.size()};
    entry.statement.objects = {entry.objects.data(), statement.objects.size()};
    entry.generation = generation;
    return &entry.encoded;
}

}  // namespace jit::statement_cache
