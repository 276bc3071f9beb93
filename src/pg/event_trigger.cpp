#include "jit_access/pg/event_trigger.hpp"

extern "C" {
#include "commands/event_trigger.h"
}

namespace jit::pg {

CreatedRelations relations_created_by_command(FunctionCallInfo info) {
    call([&] {
        if (!CALLED_AS_EVENT_TRIGGER(info)) elog(ERROR, "not called by the event trigger manager");
    });
    CreatedRelations made;
    // Nothing to do, which is the rule, is found out without the list of the command's objects.
    if (!query_row("SELECT 1 FROM jit_access.template WHERE dropped_at IS NULL AND schemas <> '{}' LIMIT 1"))
        return made;
    for (const auto& row : query(
             "SELECT c.oid::pg_catalog.regclass::text, c.relnamespace FROM pg_catalog.pg_event_trigger_ddl_commands() "
             "d "
             "JOIN pg_catalog.pg_class c ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.objid "
             "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'")) {
        made.names.push_back(row.get<std::string>(0));
        made.schemas.push_back(row.get<RoleId>(1).oid);
    }
    return made;
}

}  // namespace jit::pg
