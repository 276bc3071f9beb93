// Ids of the rows that people and roles refer to: requests, templates, alerts, drills and the like.
//
// An id is never given twice within a cluster. A name such as jit_grant_42 outlives its grant, in the record, in logs
// and in role settings, and must not come to mean another person's grant when the extension is created anew. Ids are
// therefore counted in the journal's file, which outlives DROP EXTENSION, and continue behind whatever the tables, the
// record and the temporary roles of this cluster already have.
//
// No sequence is involved. A sequence can be set by any role with UPDATE on it, which pg_write_all_data has on all of
// them, and one that has reached its end would refuse everything that inserts a row, including the end of a grant.
#pragma once

#include <cstdint>
#include <string_view>

namespace jit::identifier {

// The number of a kind is the place of its counter in the journal's file, so it must not change.
enum class Kind : std::uint32_t {
    request = 0,
    policy_template = 1,
    alert = 2,
    drill = 3,
    access_review = 4,
    whole_verification = 5,
    scenario_result = 6
};

// Returns a new id. Ids increase; gaps remain where a transaction rolled back. Needs a transaction. Throws
// invalid_argument if there is no table of that name, and the errors of the server.
[[nodiscard]] std::int64_t next(Kind kind);
// The same for the default of a column: `table` is the name of its table in schema jit_access.
[[nodiscard]] std::int64_t next(std::string_view table);

// For CREATE EXTENSION, before its tables exist: ids of requests continue behind the temporary roles that an earlier
// life of the extension has left in this cluster, which the worker is about to drop. Needs a transaction.
void continue_after_roles();

// On a standby, which gives no ids: counts along with the tables, so that a later promotion does not begin again. Needs
// a transaction.
void follow_tables();

}  // namespace jit::identifier
