#include "jit_access/activate.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/journal.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/provision.hpp"
#include "jit_access/second_factor.hpp"

namespace jit::activate {

using core::Code;
using core::Failure;
using core::State;
using request::Request;
using templates::Template;

namespace {

Failure cannot(std::int64_t id, const std::string& why, const std::string& hint) {
    return {Code::wrong_state, "cannot activate request " + std::to_string(id), why, hint};
}

// What this server has not approved itself (see confirm.cpp) does not start here.
bool awaits_holder_here(std::int64_t id) {
    const auto row = pg::query_row("SELECT awaits_holder AND node = $2::uuid FROM jit_access.request WHERE id = $1",
                                   {id, journal::node()});
    return row && !row->is_null(0) && row->get<bool>(0);
}

void check_ready(const Request& request, const Template& of) {
    const auto now = pg::wall_clock();
    if (request.state != State::scheduled || !awaits_holder_here(request.id))
        throw cannot(request.id,
                     request.state == State::scheduled ? "It starts by itself."
                                                       : "It is " + std::string(core::to_string(request.state)) + ".",
                     "Look at jit_access.my_grants.");
    if (request.template_version != of.version)
        throw cannot(request.id, "Template \"" + of.name + "\" has changed since it was asked for.",
                     "Ask again with jit_request.");
    if (request.starts_at && request.starts_at->us > now)
        throw cannot(request.id, "Its start lies ahead.", "Look at jit_access.my_grants for when.");
    if (request.lapses_at.us <= now)
        throw cannot(request.id, "It was not activated in time, so it has lapsed.", "Ask again with jit_request.");
}

}  // namespace

State leave_to_holder(Request& request, const Template& of, const std::string& by) {
    const auto from = std::max(pg::wall_clock(), request.starts_at.value_or(pg::Instant{}).us);
    pg::execute("UPDATE jit_access.request SET node = $2::uuid, awaits_holder = true, lapses_at = $3 WHERE id = $1",
                {request.id, journal::node(), pg::Instant{from + of.time_to_decide}});
    return request::advance(request, core::Event::schedule, by, std::nullopt);
}

State by_holder(std::int64_t id, const people::Origin& origin) {
    const auto me = people::asking();
    Request request = request::lock(id);
    if (request.requester != me.role)
        throw Failure(Code::not_permitted, "only the requester can activate request " + std::to_string(id),
                      "It was asked for by somebody else.");
    const Template of = templates::find(request.template_id);
    check_ready(request, of);
    second_factor::require(me, second_factor::Stage::activation, of.second_factor);
    people::require_own_statement(me, origin, "grant " + std::to_string(id) + " is activated");
    return provision::activate(request, of, me.name);
}

}  // namespace jit::activate
