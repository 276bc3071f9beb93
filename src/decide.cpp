#include "jit_access/decide.hpp"

#include "jit_access/activate.hpp"
#include "jit_access/confirm.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/event.hpp"
#include "jit_access/journal.hpp"
#include "jit_access/pending.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/provision.hpp"
#include "jit_access/reclaim.hpp"
#include "jit_access/second_factor.hpp"

namespace jit::decide {

using core::Code;
using core::Event;
using core::Failure;
using core::State;
using request::Request;
using second_factor::Stage;
using templates::Template;

namespace {

std::string named(std::int64_t id) { return "request " + std::to_string(id); }

// Whoever decides is an approver and is not the requester.
void check_decider(const people::Person& me, const Request& about, const Template& of) {
    if (about.requester == me.role)
        throw Failure(Code::own_request, "nobody decides about his own request",
                      "Request " + std::to_string(about.id) + " is yours.",
                      "Another approver of template \"" + of.name + "\" has to decide.");
    if (!people::may_decide(me, of.id))
        throw Failure(Code::not_permitted, "\"" + me.name + "\" may not decide about " + named(about.id),
                      "Neither this login nor a role it belongs to is among the approvers of template \"" + of.name +
                          "\"; being a superuser does not count.",
                      "An administrator can add it with jit_alter_template.");
}

void check_open(const Request& about) {
    if (about.state != State::pending)
        throw Failure(Code::wrong_state, named(about.id) + " cannot be decided any more",
                      "It is " + std::string(core::to_string(about.state)) + ".",
                      "Look at jit_access.pending_requests.");
    if (about.lapses_at.us <= pg::wall_clock())
        throw Failure(Code::wrong_state, named(about.id) + " cannot be decided any more",
                      "Nobody decided in time, so it has lapsed.", "The requester can ask again.");
}

void note_decision(const people::Person& me, const Request& about, const char* verdict,
                   const std::optional<std::string>& comment, std::optional<std::int64_t> duration) {
    const auto added = pg::execute(
        "INSERT INTO jit_access.decision (request_id, approver, approver_name, verdict, comment, duration, decided_at) "
        "VALUES "
        "($1, $2, $3, $4, $5, $6::bigint * interval '1 microsecond', pg_catalog.clock_timestamp()) ON CONFLICT DO "
        "NOTHING",
        {about.id, me.role, me.name, std::string(verdict), pg::nullable(comment), pg::nullable(duration)});
    // Two transactions that look through older snapshots would each miss the other's decision: the row tells them.
    pg::execute("UPDATE jit_access.request SET decisions = decisions + 1 WHERE id = $1", {about.id});
    if (added == 0)
        throw Failure(Code::wrong_state, "\"" + me.name + "\" has decided about " + named(about.id) + " already",
                      "One person counts once.", "It waits for other approvers.");
}

}  // namespace

State approve(std::int64_t id, const std::optional<std::string>& comment,
              const std::optional<core::IntervalParts>& shorter, const people::Origin& origin) {
    const auto me = people::asking();
    request::check_text(comment, "comment");
    Request about = request::lock(id);
    const Template of = templates::find(about.template_id);
    check_decider(me, about, of);
    check_open(about);
    if (about.template_version != of.version)
        throw Failure(Code::wrong_state, named(id) + " is out of date",
                      "Template \"" + of.name + "\" has changed since it was asked for.",
                      "The requester has to ask again.");

    std::optional<std::int64_t> duration;
    if (shorter) {
        duration = templates::duration(*shorter, "duration");
        if (*duration > about.duration)
            throw Failure(Code::limit_exceeded, "an approval cannot widen " + named(id),
                          core::format_duration(about.duration) + " was asked for.", "Approve that or less.");
        about.duration = *duration;
    }
    second_factor::require(me, Stage::approval, of.second_factor);
    people::require_own_statement(me, origin, named(id) + " is approved");
    if (duration)
        pg::execute("UPDATE jit_access.request SET duration = $2::bigint * interval '1 microsecond' WHERE id = $1",
                    {id, about.duration});
    note_decision(me, about, "approve", comment, duration);
    event::note("approved", id, me.name, {{"comment", comment}, {"duration", core::format_duration(about.duration)}});

    const auto count =
        pg::query_row("SELECT count(*) FROM jit_access.decision WHERE request_id = $1 AND verdict = 'approve'", {id});
    if (count.value().get<std::int64_t>(0) < of.approvals_needed) return about.state;
    if (second_factor::demands(of.second_factor, Stage::activation))
        return activate::leave_to_holder(about, of, me.name);
    if (about.starts_at && about.starts_at->us > pg::wall_clock()) {
        pg::execute("UPDATE jit_access.request SET node = $2::uuid WHERE id = $1", {id, journal::node()});
        return request::advance(about, Event::schedule, me.name, std::nullopt);
    }
    return provision::activate(about, of, me.name);
}

State deny(std::int64_t id, const std::optional<std::string>& reason) {
    const auto me = people::asking();
    request::check_text(reason, "reason");
    if (!reason)
        throw Failure(Code::invalid_argument, "invalid reason", "It is NULL.",
                      "Tell the requester why, jit_deny(id, 'why').");
    Request about = request::lock(id);
    const Template of = templates::find(about.template_id);
    check_decider(me, about, of);
    check_open(about);
    note_decision(me, about, "deny", reason, std::nullopt);
    return request::advance(about, Event::deny, me.name, reason);
}

State resume(std::int64_t id, const std::optional<std::string>& reason, const people::Origin& origin) {
    const auto me = people::asking();
    request::check_text(reason, "reason");
    Request about = request::lock(id);
    const Template of = templates::find(about.template_id);
    check_decider(me, about, of);
    templates::check_closure(of);
    second_factor::require(me, Stage::approval, of.second_factor);
    people::require_own_statement(me, origin, "grant " + std::to_string(id) + " is resumed");
    const State state = request::advance(about, Event::resume, me.name, reason);
    confirm::resume(id);
    return state;
}

namespace {

// Before the row is locked, because that may end somebody's session; what this looks at does not change.
void check_revoker(const people::Person& me, std::int64_t id) {
    const auto row = pg::query_row("SELECT requester, template_id FROM jit_access.request WHERE id = $1", {id});
    if (!row)
        throw Failure(Code::unknown_request, named(id) + " does not exist", {}, "Look at jit_access.grant_history.");
    if (row->get<pg::RoleId>(0) == me.role || people::may_decide(me, row->get<std::int64_t>(1)) || people::is_admin(me))
        return;
    throw Failure(Code::not_permitted, "\"" + me.name + "\" may not revoke grant " + std::to_string(id),
                  "Only its holder, the approvers of its template and administrators may.");
}

}  // namespace

State revoke(std::int64_t id, const std::optional<std::string>& reason) {
    const auto me = people::asking();
    request::check_text(reason, "reason");
    check_revoker(me, id);
    Request about = request::lock_against_holder(id);
    if (about.state == State::pending)
        throw Failure(Code::wrong_state, "cannot revoke " + named(id), "It is pending, nothing has been granted.",
                      "The requester can cancel it, an approver can deny it.");
    // Access is not kept up by a standby that does not answer.
    pg::commit_locally();
    const State state = request::advance(about, Event::revoke, me.name, reason);
    pending::finish(static_cast<std::uint64_t>(id));
    // So that the holder's sessions go on without it at once; where it fails now, the worker goes on trying.
    (void)pg::in_subtransaction([&] {
        pg::query("SELECT pg_catalog.set_config('lock_timeout', '200ms', true)");
        reclaim::take_memberships(id);
    });
    return state;
}

}  // namespace jit::decide
