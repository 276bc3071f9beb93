// What the command that fired an event trigger has made.
#pragma once

#include "jit_access/pg/server.hpp"
#include "jit_access/pg/sql.hpp"

namespace jit::pg {

struct CreatedRelations {
    TextArray names;  // as regclass prints them
    std::vector<std::uint32_t> schemas;
};

// Tables, views and the like that the command made or moved; throws when it is not called by an event trigger.
[[nodiscard]] CreatedRelations relations_created_by_command(FunctionCallInfo info);

}  // namespace jit::pg
