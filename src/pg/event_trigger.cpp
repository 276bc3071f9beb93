#include "jit_access/pg/event_trigger.hpp"

extern "C" {
#include "commands/event_trigger.h"
}

namespace jit::pg {

CreatedRelations relations_created_by_command(FunctionCallInfo info) {
    call([&] {
        if (!CALLED_AS_EVENT_TRIGGER(info)) elog(ERROR, "not called by the event trigger manager");
    });
    CreatedRelations created;
    // Usually no template covers a whole schema. Listing the objects of the command would then only slow down DDL.
    if (!query_row("SELECT 1 FROM jit_access.template WHERE dropped_at IS NULL AND schemas <> '{}' LIMIT 1"))
        return created;
    for (const auto& row : query(R"sql(
            SELECT c.oid::pg_catalog.regclass::text, c.relnamespace
            FROM pg_catalog.pg_event_trigger_ddl_commands() d
            JOIN pg_catalog.pg_class c
              ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.objid
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't')sql")) {
        created.names.push_back(row.get<std::string>(0));
        created.schemas.push_back(row.get<RoleId>(1).oid);
    }
    return created;
}

}  // namespace jit::pg
