#include "jit_access/statements/statement_cache.hpp"

#include <algorithm>

#include "jit_access/enforcement/standing_privileges.hpp"
#include "jit_access/pg/version.hpp"

namespace jit::statement_cache {

namespace {

// What of a checked relation makes a difference, as long as single columns do not.
struct Checked {
    std::uint32_t relation;
    std::uint32_t owner;
    pg::AclBits privileges;

    bool operator==(const Checked&) const = default;
};

// What a query asks for, and the relations that its plan depends on.
struct Asked {
    std::uint32_t checked_count = 0;
    std::uint32_t dependency_count = 0;
    std::array<Checked, 6> checked{};
    std::array<std::uint32_t, 12> dependencies{};

    bool operator==(const Asked& other) const noexcept {
        return std::equal(checked.begin(), checked.begin() + checked_count, other.checked.begin(),
                          other.checked.begin() + other.checked_count) &&
               std::equal(dependencies.begin(), dependencies.begin() + dependency_count, other.dependencies.begin(),
                          other.dependencies.begin() + other.dependency_count);
    }
};

struct Known {
    std::uint64_t changes = 0;  // 0: nothing is kept here
    std::uint64_t who = 0;
    std::uint32_t session_user = 0;
    Asked asked;
    std::array<char, 256> text;
    std::array<core::ObjectUse, 6> objects;
    std::array<char, 512> names;
    recorder::Statement statement;
    recorder::Encoded encoded;
};

std::array<Known, 32> all;

Known& place_of(std::string_view text) noexcept { return all[text.size() % all.size()]; }

// False: more than is kept.
bool take_apart(const PlannedStmt* plan, Asked& asked) noexcept {
    bool fits = true;
    pg::for_each_checked_relation(plan, [&](const pg::CheckedRelation& checked) {
        fits = fits && asked.checked_count < asked.checked.size();
        if (fits) asked.checked[asked.checked_count++] = {checked.relation, checked.owner.oid, checked.privileges};
    });
    const List* relations = plan->relationOids;
    if (!fits || static_cast<std::size_t>(list_length(relations)) > asked.dependencies.size()) return false;
    for (int i = 0; i < list_length(relations); ++i)
        asked.dependencies[asked.dependency_count++] = list_nth_oid(relations, i);
    return true;
}

bool note_objects(std::span<const core::ObjectUse> objects, Known& known) noexcept {
    if (objects.size() > known.objects.size()) return false;
    std::size_t used = 0;
    for (std::size_t i = 0; i < objects.size(); ++i) {
        const auto name = objects[i].name;
        if (name.size() > known.names.size() - used) return false;
        name.copy(known.names.data() + used, name.size());
        known.objects[i] = {objects[i].privileges, objects[i].own, {known.names.data() + used, name.size()}};
        used += name.size();
    }
    return true;
}

}  // namespace

const recorder::Statement* find(const PlannedStmt* plan, std::string_view text, const char* tag) noexcept {
    const Known& known = place_of(text);
    Asked asked;
    const bool same = known.changes == standing_privileges::changes() && known.statement.tag.data() == tag &&
                      known.who == pg::packed_user_ids() && known.session_user == pg::session_user().oid &&
                      known.statement.text == text && take_apart(plan, asked) && asked == known.asked;
    return same ? &known.statement : nullptr;
}

recorder::Encoded* keep(const PlannedStmt* plan, const recorder::Statement& statement, std::uint64_t changes) noexcept {
    const auto text = statement.text;
    Known& known = place_of(text);
    known.changes = 0;
    known.encoded.grants_number = 0;
    Asked asked;
    if (!take_apart(plan, asked) || text.size() > known.text.size() || !note_objects(statement.objects, known))
        return nullptr;
    known.asked = asked;
    text.copy(known.text.data(), text.size());
    known.who = pg::packed_user_ids();
    known.session_user = pg::session_user().oid;
    known.statement = statement;
    known.statement.encoded = &known.encoded;
    known.statement.text = {known.text.data(), text.size()};
    known.statement.objects = {known.objects.data(), statement.objects.size()};
    known.changes = changes;
    return &known.encoded;
}

}  // namespace jit::statement_cache
