// Objects created by the command that fired an event trigger.
#pragma once

#include "jit_access/pg/server.hpp"
#include "jit_access/pg/sql.hpp"

namespace jit::pg {

struct CreatedRelations {
    TextArray names;                     // as regclass prints them
    std::vector<std::uint32_t> schemas;  // OIDs, in the order of `names`
};

// Returns the tables, views, materialized views and foreign tables that the command created or moved, except temporary
// ones. If no template covers ALL TABLES IN SCHEMA, the result is empty and no object is looked up. Throws an error
// unless called by an event trigger.
[[nodiscard]] CreatedRelations relations_created_by_command(FunctionCallInfo info);

}  // namespace jit::pg
