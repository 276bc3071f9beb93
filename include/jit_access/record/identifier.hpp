// Ids of rows to which people and names of roles refer: requests, templates, alerts, drills and others.
//
// An id is never assigned twice within a cluster. A name such as jit_grant_42 outlives its grant in the record, in logs
// and in role settings. It must not refer to another person's grant after the extension is dropped and created again.
// Ids are therefore counted in the journal's file, which survives DROP EXTENSION, and are higher than any id in the
// tables, the record and the names of temporary roles of this cluster.
//
// No sequence is used. Any role with UPDATE on a sequence can set it, and pg_write_all_data has UPDATE on all
// sequences. If a sequence has reached its end, every command that inserts a row fails, including those that end a
// grant.
#pragma once

#include <cstdint>
#include <string_view>

namespace jit::identifier {

// The number of a kind is the index of its counter in the journal's file, so it must not change.
enum class Kind : std::uint32_t {
    request = 0,
    policy_template = 1,
    alert = 2,
    drill = 3,
    access_review = 4,
    whole_verification = 5,
    scenario_result = 6
};

// Returns a new id. Ids increase, with gaps where transactions were rolled back. Needs a transaction. Throws the errors
// of the server.
[[nodiscard]] std::int64_t next(Kind kind);
// The same for the default of a column: `table` is the name of its table in schema jit_access. Throws invalid_argument
// if the table is not one of those that have such ids.
[[nodiscard]] std::int64_t next(std::string_view table);

// For CREATE EXTENSION, before its tables exist. Makes the ids of requests continue after those in the names of
// temporary roles. If the extension existed before in this cluster, such roles may be left, and the worker will drop
// them. Needs a transaction.
void continue_after_roles();

// For a standby, which assigns no ids. Raises the counters to the ids in the tables, so that they do not begin again
// after a promotion. Needs a transaction.
void follow_tables();

}  // namespace jit::identifier
