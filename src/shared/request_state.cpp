#include "jit_access/shared/request_state.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/sql.hpp"
#include "jit_access/shared/control_event.hpp"

namespace jit::request_state {

using core::State;

core::State advance(std::int64_t id, State from, core::Event event, const std::string& by,
                    const std::optional<std::string>& reason) {
    const auto to = core::next(from, event);
    if (!to)
        throw core::Failure(core::Code::wrong_state,
                            "cannot " + std::string(core::to_string(event)) + " request " + std::to_string(id),
                            "It is " + std::string(core::to_string(from)) + ".",
                            core::is_terminal(from) ? "A request is decided once; ask again with jit_request." : "");
    // For both updates, the caller holds the row lock.
    if (core::is_terminal(*to))
        pg::execute(R"sql(
            UPDATE jit_access.request
            SET state = $2::jit_access.state,
                closed_at = pg_catalog.clock_timestamp(),
                closed_by = $3,
                close_reason = $4,
                cleanup = CASE WHEN grant_role IS NULL THEN cleanup ELSE 'due' END
            WHERE id = $1
        )sql",
                    {id, std::string(core::to_string(*to)), by, pg::nullable(reason)});
    else
        pg::execute("UPDATE jit_access.request SET state = $2::jit_access.state WHERE id = $1",
                    {id, std::string(core::to_string(*to))});
    control_event::write(core::to_past(event).data(), id, by, {{"reason", reason}});
    return *to;
}

}  // namespace jit::request_state
