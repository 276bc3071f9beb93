#include "jit_access/shared/control_event.hpp"

#include "jit_access/pg/sql.hpp"
#include "jit_access/shared/commit_actions.hpp"

namespace jit::control_event {

void write(const char* kind, std::optional<std::int64_t> id, const std::string& actor, const Detail& detail) {
    pg::TextArray keys;
    pg::TextArray values;
    for (const auto& [key, value] : detail) {
        if (!value) continue;
        keys.emplace_back(key);
        values.push_back(*value);
    }
    // clock_timestamp() is used, because events of one transaction are ordered by time in the record.
    pg::execute(R"sql(
        INSERT INTO jit_access.event (at, kind, request_id, actor, detail)
        VALUES (pg_catalog.clock_timestamp(), $1, $2, $3, pg_catalog.jsonb_object($4, $5)))sql",
                {std::string(kind), pg::nullable(id), actor, keys, values});
    commit_actions::request_wakeup();
}

}  // namespace jit::control_event
