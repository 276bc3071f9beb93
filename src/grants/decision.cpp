#include "jit_access/grants/decision.hpp"
#include "jit_access/policy/template_closure.hpp"
#include "jit_access/policy/template_settings.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/grants/cleanup.hpp"
#include "jit_access/grants/confirm.hpp"
#include "jit_access/grants/provision.hpp"
#include "jit_access/grants/ruling.hpp"
#include "jit_access/identity/second_factor.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/record/journal.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/control_event.hpp"

namespace jit::decision {

using core::Code;
using core::Event;
using core::Failure;
using core::State;
using request::Request;
using second_factor::Stage;
using templates::Template;

namespace {

std::string named(std::int64_t id) { return "request " + std::to_string(id); }

// Whoever decides is an approver and is not the requester, by none of his logins.
void check_decider(const principal::Person& me, const Request& about, const Template& of) {
    if (principal::person_of(me) == principal::person_of({about.requester, about.requester_name}))
        throw Failure(Code::own_request, "nobody decides about his own request",
                      about.requester == me.role
                          ? "Request " + std::to_string(about.id) + " is yours."
                          : "\"" + me.name + "\" and \"" + about.requester_name + "\" are the same person.",
                      "Another approver of template \"" + of.name + "\" has to decide.");
    principal::require_approver(me, of.id, of.name, "decide about " + named(about.id));
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

struct Decision {
    const char* verdict;
    std::optional<std::string> comment;
    std::optional<std::int64_t> duration;
    std::optional<std::string> digest;
};

void note_decision(const principal::Person& me, const Request& about, const Decision& decision) {
    // Two transactions that look through older snapshots would each miss the other's decision: the row tells them.
    pg::execute("UPDATE jit_access.request SET decisions = decisions + 1 WHERE id = $1", {about.id});
    const auto before = pg::query_row(
        "SELECT approver_name FROM jit_access.decision WHERE request_id = $1 AND approver::text = ANY ($2)",
        {about.id, principal::logins_of(principal::person_of(me))});
    if (before)
        throw Failure(Code::wrong_state,
                      "\"" + before->get<std::string>(0) + "\" has decided about " + named(about.id) + " already",
                      before->get<std::string>(0) == me.name
                          ? "One person counts once."
                          : "\"" + me.name + "\" is the same person, who counts once.",
                      "It waits for other approvers.");
    pg::execute(
        "INSERT INTO jit_access.decision (request_id, approver, approver_name, verdict, comment, duration, digest, "
        "decided_at) VALUES ($1, $2, $3, $4, $5, $6, $7, pg_catalog.clock_timestamp())",
        {about.id, me.role, me.name, std::string(decision.verdict), pg::nullable(decision.comment),
         pg::nullable_duration(decision.duration), pg::nullable(decision.digest)});
}

Failure stale(std::int64_t id, const std::string& why) {
    return {Code::wrong_state, named(id) + " is out of date", why, "The requester has to ask again."};
}

void check_shown(const Request& about, const Template& of, const std::optional<std::string>& seen) {
    if (about.template_version != of.version)
        throw stale(about.id, "Template \"" + of.name + "\" has changed since it was asked for.");
    if (ruling::digest(about, of) != about.digest)
        throw stale(about.id, "What template \"" + of.name + "\" would give has changed since it was asked for.");
    if (seen && *seen != about.digest)
        throw Failure(Code::wrong_state, named(about.id) + " is not what you have seen", "Its digest is another one.",
                      "Look at jit_access.pending_requests again.");
}

// The approver may shorten what was asked for.
std::optional<std::int64_t> shorten(Request& about, const std::optional<core::IntervalParts>& shorter) {
    if (!shorter) return std::nullopt;
    const auto duration = templates::checked_duration(*shorter, "duration");
    if (duration > about.duration)
        throw Failure(Code::limit_exceeded, "an approval cannot widen " + named(about.id),
                      core::format_duration(about.duration) + " was asked for.", "Approve that or less.");
    about.duration = duration;
    return duration;
}

State schedule(Request& request, const std::string& by, const std::optional<std::string>& why) {
    pg::execute("UPDATE jit_access.request SET node = $2::uuid, use_by = $3, starts_at = $4 WHERE id = $1",
                {request.id, journal::node(), pg::nullable(request.use_by), pg::nullable(request.starts_at)});
    return request::advance(request, Event::schedule, by, why);
}

void keep_reasons(const Request& request, const core::Ruling& ruling) {
    pg::execute("UPDATE jit_access.request SET reasons = $2 WHERE id = $1", {request.id, ruling.reasons()});
}

std::string why_not_any_more(const Request& request, const core::Ruling& ruling) {
    if (request.rule) return "Rule \"" + *request.rule + "\" does not allow it any more, or not at this time.";
    return "Of its approvals, " + std::to_string(ruling.approvals) +
           " still count: the others were given by people who are not approvers any more, or for something else than "
           "it would give now.";
}

}  // namespace

State activate_or_schedule(Request& request, const Template& of, const core::Ruling& ruling, const std::string& by) {
    keep_reasons(request, ruling);
    if (ruling.rule)
        control_event::write("allowed", request.id, by,
                             {{"rule", ruling.rule}, {"reasons", core::join(ruling.reasons(), "; ")}});
    const auto now = pg::wall_clock();
    if (ruling.put_off_to) request.starts_at = pg::Instant{*ruling.put_off_to};
    const bool later = request.starts_at && request.starts_at->us > now;
    // With a second factor it is the requester who activates, and nobody for him.
    const bool by_himself = second_factor::demands(of.second_factor, Stage::activation);
    if (of.time_to_use || by_himself)
        request.use_by =
            pg::Instant{(later ? request.starts_at->us : now) + of.time_to_use.value_or(of.time_to_decide)};
    if (later || request.use_by)
        return schedule(request, by, ruling.put_off_to ? std::optional("its windows are closed") : std::nullopt);
    return provision::activate(request, of, ruling, by);
}

namespace {

State start_scheduled(Request& request, ruling::Purpose occasion, const std::string& by) {
    const Template of = templates::lock(request.template_id);
    if (request.template_version != of.version)
        throw stale(request.id, "Template \"" + of.name + "\" has changed since it was asked for.");
    contention::lock_for_caps(of);
    const auto ruling = ruling::for_request(request, of, occasion);
    ruling::require_no_objections(ruling);
    if (ruling.answer != core::Eligibility::allowed)
        throw Failure(Code::wrong_state, named(request.id) + " is not approved any more",
                      why_not_any_more(request, ruling), "The requester has to ask again.");
    keep_reasons(request, ruling);
    return provision::activate(request, of, ruling, by);
}

}  // namespace

State start_scheduled(Request& request, const std::string& by) {
    return start_scheduled(request, ruling::Purpose::activation, by);
}

State activate(std::int64_t id, const principal::Origin& origin) {
    const auto me = principal::caller();
    Request request = request::lock(id);
    if (request.requester != me.role)
        throw Failure(Code::not_permitted, "\"" + me.name + "\" may not activate " + named(id),
                      "Only who asked for it may.");
    if (request.state != State::scheduled || !request.use_by)
        throw Failure(Code::wrong_state, "cannot activate " + named(id),
                      request.state == State::scheduled ? "It starts by itself."
                                                        : "It is " + std::string(core::to_string(request.state)) + ".",
                      "Look at jit_access.my_requests.");
    // What this server has not allowed itself (see confirm.cpp) does not start here.
    if (!pg::query_row("SELECT 1 FROM jit_access.request WHERE id = $1 AND node = $2::uuid", {id, journal::node()}))
        throw Failure(Code::wrong_state, "cannot activate " + named(id), "Another server has allowed it.",
                      "Ask again with jit_request.");
    const auto now = pg::wall_clock();
    if (request.starts_at && request.starts_at->us > now)
        throw Failure(Code::wrong_state, "cannot activate " + named(id), "Its start lies ahead.",
                      "Look at jit_access.my_requests.");
    if (request.use_by->us <= now)
        throw Failure(Code::wrong_state, "cannot activate " + named(id), "The time to use the approval is over.",
                      "Ask again with jit_request.");
    second_factor::require(me, Stage::activation, templates::read(request.template_id).second_factor);
    principal::require_own_statement(me, origin, named(id) + " is activated");
    return start_scheduled(request, ruling::Purpose::activation_by_requester, me.name);
}

State approve(std::int64_t id, const Approval& approval, const principal::Origin& origin) {
    const auto me = principal::caller();
    request::check_text(approval.comment, "comment");
    Request about = request::lock(id);
    const Template of = templates::lock(about.template_id);
    check_decider(me, about, of);
    check_open(about);
    check_shown(about, of, approval.digest);
    const auto duration = shorten(about, approval.duration);
    second_factor::require(me, Stage::approval, of.second_factor);
    principal::require_own_statement(me, origin, named(id) + " is approved");
    if (duration)
        pg::execute("UPDATE jit_access.request SET duration = $2 WHERE id = $1", {id, pg::Duration{*duration}});
    note_decision(me, about, {"approve", approval.comment, duration, about.digest});
    control_event::write(
        "approved", id, me.name,
        {{"comment", approval.comment}, {"duration", core::format_duration(about.duration)}, {"digest", about.digest}});

    contention::lock_for_caps(of);
    const auto ruling = ruling::for_request(about, of, ruling::Purpose::decision);
    ruling::require_no_objections(ruling);
    if (ruling.answer != core::Eligibility::allowed) return about.state;
    return activate_or_schedule(about, of, ruling, me.name);
}

State deny(std::int64_t id, const std::optional<std::string>& reason) {
    const auto me = principal::caller();
    request::check_text(reason, "reason");
    if (!reason)
        throw Failure(Code::invalid_argument, "invalid reason", "It is NULL.",
                      "Tell the requester why, jit_deny(id, 'why').");
    Request about = request::lock(id);
    const Template of = templates::lock(about.template_id);
    check_decider(me, about, of);
    check_open(about);
    note_decision(me, about, {"deny", reason, std::nullopt, about.digest});
    return request::advance(about, Event::deny, me.name, reason);
}

State resume(std::int64_t id, const std::optional<std::string>& reason, const principal::Origin& origin) {
    const auto me = principal::caller();
    request::check_text(reason, "reason");
    Request about = request::lock(id);
    const Template of = templates::lock(about.template_id);
    check_decider(me, about, of);
    templates::check_closure(of);
    second_factor::require(me, Stage::approval, of.second_factor);
    principal::require_own_statement(me, origin, "grant " + std::to_string(id) + " is resumed");
    const State state = request::advance(about, Event::resume, me.name, reason);
    confirm::resume(id);
    return state;
}

namespace {

// Before the row is locked, because that may end somebody's session; what this looks at does not change.
void check_revoker(const principal::Person& me, std::int64_t id) {
    const auto row = pg::query_row("SELECT requester, template_id FROM jit_access.request WHERE id = $1", {id});
    if (!row)
        throw Failure(Code::unknown_request, named(id) + " does not exist", {}, "Look at jit_access.grant_history.");
    if (row->get<pg::RoleId>(0) == me.role || principal::may_decide(me, row->get<std::int64_t>(1)) ||
        principal::is_admin(me))
        return;
    throw Failure(Code::not_permitted, "\"" + me.name + "\" may not revoke grant " + std::to_string(id),
                  "Only its holder, the approvers of its template and administrators may.");
}

}  // namespace

State revoke(std::int64_t id, const std::optional<std::string>& reason) {
    const auto me = principal::caller();
    request::check_text(reason, "reason");
    check_revoker(me, id);
    Request about = request::lock_against_holder(id);
    if (about.state == State::pending)
        throw Failure(Code::wrong_state, "cannot revoke " + named(id), "It is pending, nothing has been granted.",
                      "The requester can cancel it, an approver can deny it.");
    // Access is not kept up by a standby that does not answer.
    pg::commit_locally();
    const State state = request::advance(about, Event::revoke, me.name, reason);
    commit_actions::finish(static_cast<std::uint64_t>(id));
    // So that the holder's sessions go on without it at once; where it fails now, the worker goes on trying.
    (void)pg::in_subtransaction([&] {
        pg::query("SELECT pg_catalog.set_config('lock_timeout', '200ms', true)");
        cleanup::revoke_grant_memberships(id);
    });
    return state;
}

}  // namespace jit::decision
