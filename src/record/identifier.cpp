#include "jit_access/record/identifier.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <optional>
#include <string>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/sql.hpp"
#include "jit_access/record/journal_file.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::identifier {

namespace {

struct Source {
    Kind kind;
    std::string_view table;
    const char* highest;  // query for the highest id in the table
};

constexpr Source sources[] = {
    {Kind::request, "request", "SELECT max(id) FROM jit_access.request"},
    {Kind::policy_template, "template", "SELECT max(id) FROM jit_access.template"},
    {Kind::alert, "alert", "SELECT max(id) FROM jit_access.alert"},
    {Kind::drill, "drill", "SELECT max(id) FROM jit_access.drill"},
    {Kind::access_review, "access_review", "SELECT max(id) FROM jit_access.access_review"},
    {Kind::whole_verification, "whole_verification", "SELECT max(id) FROM jit_access.whole_verification"},
    {Kind::scenario_result, "scenario_result", "SELECT max(id) FROM jit_access.scenario_result"},
};
static_assert(std::size(sources) <= id_counter_count, "each kind has a counter in the journal's file");

// The highest id in the names of temporary roles that were not dropped. Only members of the marker role are considered,
// because these are roles of the extension.
constexpr const char* highest_in_roles = R"sql(
    SELECT max(pg_catalog.substring(a.rolname, '^jit_(?:grant|gate|login)_([0-9]{1,18})$')::bigint)
    FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_authid a ON a.oid = m.member
    WHERE m.roleid = (SELECT oid FROM pg_catalog.pg_authid WHERE rolname = $1)
)sql";

std::atomic<std::uint64_t>& counter_of(Kind kind) noexcept {
    return journal::id_counters()[static_cast<std::size_t>(kind)];
}

void raise(Kind kind, const std::optional<pg::Row>& row) {
    const auto highest = row ? row->maybe<std::int64_t>(0) : std::nullopt;
    if (!highest || *highest < 0) return;
    auto& counter = counter_of(kind);
    auto current = counter.load();
    const auto wanted = static_cast<std::uint64_t>(*highest);
    while (current < wanted && !counter.compare_exchange_weak(current, wanted)) {
    }
}

// Called for each id, and not only after a start, because tables may be restored or replaced at any time. The primary
// key makes the query cheap.
void raise_to_table(const Source& source) { raise(source.kind, pg::query_latest(source.highest)); }

// Takes account of ids that occur only in names of roles and in the record, and no longer in the table of requests.
// Once after a start is enough, because all later roles and records of grants get their ids from the counter.
void raise_to_earlier_lives() {
    if (shared_state->earlier_ids_are_known.load()) return;
    continue_after_roles();
    raise(Kind::request, pg::query_latest("SELECT max(grant_id) FROM jit_access.record"));
    shared_state->earlier_ids_are_known.store(true);
}

std::int64_t next(const Source& source) {
    raise_to_table(source);
    if (source.kind == Kind::request) raise_to_earlier_lives();
    return static_cast<std::int64_t>(counter_of(source.kind).fetch_add(1) + 1);
}

}  // namespace

std::int64_t next(Kind kind) {
    const auto* source = std::find_if(std::begin(sources), std::end(sources),
                                      [kind](const Source& candidate) { return candidate.kind == kind; });
    return next(*source);
}

std::int64_t next(std::string_view table) {
    const auto* source = std::find_if(std::begin(sources), std::end(sources),
                                      [table](const Source& candidate) { return candidate.table == table; });
    if (source == std::end(sources)) throw core::invalid("table", "No table of jit_access of that name has ids.");
    return next(*source);
}

void continue_after_roles() {
    raise(Kind::request, pg::query_latest(highest_in_roles, {std::string(core::marker_role)}));
}

void follow_tables() {
    for (const auto& source : sources) raise_to_table(source);
}

}  // namespace jit::identifier
