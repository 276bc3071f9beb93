#include "jit_access/grants/decision.hpp"

#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/enforcement/denied_attempt.hpp"
#include "jit_access/enforcement/session.hpp"
#include "jit_access/grants/cleanup.hpp"
#include "jit_access/grants/confirm.hpp"
#include "jit_access/grants/provision.hpp"
#include "jit_access/grants/request_digest.hpp"
#include "jit_access/grants/revocation.hpp"
#include "jit_access/grants/ruling.hpp"
#include "jit_access/identity/second_factor.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/policy/template_closure.hpp"
#include "jit_access/policy/template_settings.hpp"
#include "jit_access/record/journal_file.hpp"
#include "jit_access/shared/blocking_session.hpp"
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

std::string request_text(std::int64_t id) { return "request " + std::to_string(id); }

std::string state_text(const Request& request) { return "It is " + std::string(core::to_string(request.state)) + "."; }

// ---- permissions of approvers ------------------------------------------------------------------------------------

// Compares people, not logins, because several logins may belong to one person.
void check_decider(const principal::Person& me, const Request& request, const Template& tmpl) {
    if (principal::person_of(me) == principal::person_of({request.requester, request.requester_name}))
        denied_attempt::record_and_throw(
            {Code::own_request, "cannot decide about your own request",
             request.requester == me.role
                 ? "Request " + std::to_string(request.id) + " is yours."
                 : "\"" + me.name + "\" and \"" + request.requester_name + "\" are the same person.",
             "Another approver of template \"" + tmpl.name + "\" has to decide."});
    principal::require_approver(me, tmpl.id, tmpl.name, "decide about " + request_text(request.id));
}

void check_pending(const Request& request) {
    const std::string message = request_text(request.id) + " cannot be decided any more";
    if (request.state != State::pending)
        throw Failure(Code::wrong_state, message, state_text(request), "Look at jit_access.pending_requests.");
    // It is the worker that makes requests lapse. This check is needed because the worker may be behind.
    if (request.lapses_at.us <= pg::wall_clock())
        throw Failure(Code::wrong_state, message, "It was not decided in time, so it has lapsed.",
                      "The requester can ask again.");
}

Failure out_of_date(std::int64_t id, const std::string& detail) {
    return {Code::wrong_state, request_text(id) + " is out of date", detail, "The requester has to ask again."};
}

Failure template_changed(const Request& request, const Template& tmpl) {
    return out_of_date(request.id, "Template \"" + tmpl.name + "\" has changed since it was asked for.");
}

// An approval covers exactly the request that the requester made and the approver has seen.
void check_digest(const Request& request, const Template& tmpl, const std::optional<std::string>& digest_seen) {
    if (request.template_version != tmpl.version) throw template_changed(request, tmpl);
    if (request_digest::compute(request, tmpl) != request.digest)
        throw out_of_date(request.id,
                          "The grant that template \"" + tmpl.name + "\" would give has changed since the request.");
    if (digest_seen && *digest_seen != request.digest)
        throw Failure(Code::wrong_state, request_text(request.id) + " is not what you have seen", "Its digest differs.",
                      "Look at jit_access.pending_requests again.");
}

// ---- storing a decision ------------------------------------------------------------------------------------------

struct Decision {
    const char* verdict;
    std::optional<std::string> comment;
    std::optional<std::int64_t> duration;
    std::optional<std::string> digest;
};

void store_decision(const principal::Person& me, const Request& request, const Decision& decision) {
    // Two REPEATABLE READ transactions would not see each other's decision, although the row lock serialises them. The
    // update of the row, which request::lock() has locked, makes the second one fail with a serialization error.
    pg::execute("UPDATE jit_access.request SET decisions = decisions + 1 WHERE id = $1", {request.id});
    const auto earlier = pg::query_row(R"sql(
        SELECT approver_name FROM jit_access.decision
        WHERE request_id = $1 AND approver::text = ANY ($2)
    )sql",
                                       {request.id, principal::logins_of(principal::person_of(me))});
    if (earlier)
        throw Failure(
            Code::wrong_state,
            "\"" + earlier->get<std::string>(0) + "\" has decided about " + request_text(request.id) + " already",
            earlier->get<std::string>(0) == me.name ? "One person counts once."
                                                    : "\"" + me.name + "\" is the same person, who counts once.",
            "It waits for other approvers.");
    pg::execute(R"sql(
        INSERT INTO jit_access.decision
            (request_id, approver, approver_name, verdict, comment, duration, digest, decided_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, pg_catalog.clock_timestamp())
    )sql",
                {request.id, me.role, me.name, std::string(decision.verdict), pg::nullable(decision.comment),
                 pg::nullable_duration(decision.duration), pg::nullable(decision.digest)});
}

// The approver may shorten the duration. Returns it in microseconds.
std::optional<std::int64_t> shorten(Request& request, const std::optional<core::IntervalParts>& shorter) {
    if (!shorter) return std::nullopt;
    const auto duration = templates::checked_duration(*shorter, "duration");
    if (duration > request.duration)
        throw Failure(Code::limit_exceeded, "an approval cannot widen " + request_text(request.id),
                      core::format_duration(request.duration) + " was asked for.", "Approve that or less.");
    request.duration = duration;
    return duration;
}

// The caller holds the lock on the row.
State schedule(Request& request, const std::string& actor, const std::optional<std::string>& reason) {
    pg::execute(R"sql(
        UPDATE jit_access.request
        SET node = $2::uuid, use_by = $3, starts_at = $4
        WHERE id = $1
    )sql",
                {request.id, journal::node(), pg::nullable(request.use_by), pg::nullable(request.starts_at)});
    return request::advance(request, Event::schedule, actor, reason);
}

// Stores why the request was allowed. The caller holds the lock on the row.
void store_reasons(const Request& request, const core::Ruling& ruling) {
    pg::execute("UPDATE jit_access.request SET reasons = $2 WHERE id = $1", {request.id, ruling.reasons()});
}

std::string why_not_allowed_any_more(const Request& request, const core::Ruling& ruling) {
    if (request.rule) return "Rule \"" + *request.rule + "\" does not allow it any more, or not at this time.";
    return "Of its approvals, " + std::to_string(ruling.approvals) +
           " still count: the others were given by people who are not approvers any more, or for something else than "
           "it would give now.";
}

}  // namespace

// ---- from a ruling to a grant ------------------------------------------------------------------------------------

State activate_or_schedule(Request& request, const Template& tmpl, const core::Ruling& ruling,
                           const std::string& actor) {
    store_reasons(request, ruling);
    if (ruling.rule)
        control_event::write("allowed", request.id, actor,
                             {{"rule", ruling.rule}, {"reasons", core::join(ruling.reasons(), "; ")}});
    const auto now = pg::wall_clock();
    if (ruling.windows_open_at) request.starts_at = pg::Instant{*ruling.windows_open_at};
    const bool starts_later = request.starts_at && request.starts_at->us > now;
    // A second factor at activation is the requester's own, so only the requester can activate the grant.
    if (tmpl.time_to_use || second_factor::demands(tmpl.second_factor, Stage::activation))
        request.use_by =
            pg::Instant{(starts_later ? request.starts_at->us : now) + tmpl.time_to_use.value_or(tmpl.time_to_decide)};
    if (starts_later || request.use_by)
        return schedule(request, actor,
                        ruling.windows_open_at ? std::optional("its windows are closed") : std::nullopt);
    return provision::activate(request, tmpl, ruling, actor);
}

namespace {

// Since the decision, approvers may have left, and the template or the closure of its role may have changed.
State start_scheduled(Request& request, ruling::Purpose purpose, const std::string& actor) {
    const Template tmpl = templates::lock(request.template_id);
    if (request.template_version != tmpl.version) throw template_changed(request, tmpl);
    contention::lock_for_caps(tmpl);
    const auto ruling = ruling::for_request(request, tmpl, purpose);
    ruling::require_no_objections(ruling);
    if (ruling.answer != core::Eligibility::allowed)
        throw Failure(Code::wrong_state, request_text(request.id) + " is not approved any more",
                      why_not_allowed_any_more(request, ruling), "The requester has to ask again.");
    store_reasons(request, ruling);
    return provision::activate(request, tmpl, ruling, actor);
}

}  // namespace

State start_scheduled(Request& request, const std::string& actor) {
    return start_scheduled(request, ruling::Purpose::activation, actor);
}

State activate(std::int64_t id, const principal::Origin& origin) {
    const auto me = principal::caller();
    const std::string message = "cannot activate " + request_text(id);
    Request request = request::lock_visible(me, id);
    if (request.requester != me.role)
        throw Failure(Code::not_permitted, "\"" + me.name + "\" may not activate " + request_text(id),
                      "Only its requester may.");
    if (request.state != State::scheduled || !request.use_by)
        throw Failure(Code::wrong_state, message,
                      request.state == State::scheduled ? "It starts by itself." : state_text(request),
                      "Look at jit_access.my_requests.");
    // A copy of the tables must not turn the approvals of another server into grants (see confirm.hpp).
    if (!pg::query_row("SELECT 1 FROM jit_access.request WHERE id = $1 AND node = $2::uuid", {id, journal::node()}))
        throw Failure(Code::wrong_state, message, "Another server has allowed it.", "Ask again with jit_request.");
    const auto now = pg::wall_clock();
    if (request.starts_at && request.starts_at->us > now)
        throw Failure(Code::wrong_state, message, "Its start lies ahead.", "Look at jit_access.my_requests.");
    if (request.use_by->us <= now)
        throw Failure(Code::wrong_state, message, "The time to use the approval is over.",
                      "Ask again with jit_request.");
    second_factor::require(me, Stage::activation, templates::read(request.template_id).second_factor);
    principal::require_own_statement(me, origin, request_text(id) + " is activated");
    return start_scheduled(request, ruling::Purpose::activation_by_requester, me.name);
}

// ---- approve, deny -----------------------------------------------------------------------------------------------

State approve(std::int64_t id, const Approval& approval, const principal::Origin& origin) {
    const auto me = principal::caller();
    request::check_text(approval.comment, "comment");
    Request request = request::lock_visible(me, id);
    const Template tmpl = templates::lock(request.template_id);
    check_decider(me, request, tmpl);
    check_pending(request);
    check_digest(request, tmpl, approval.digest);
    const auto duration = shorten(request, approval.duration);
    second_factor::require(me, Stage::approval, tmpl.second_factor);
    principal::require_own_statement(me, origin, request_text(id) + " is approved");
    // request::lock() holds the row lock.
    if (duration)
        pg::execute("UPDATE jit_access.request SET duration = $2 WHERE id = $1", {id, pg::Duration{*duration}});
    store_decision(me, request, {"approve", approval.comment, duration, request.digest});
    control_event::write("approved", id, me.name,
                         {{"comment", approval.comment},
                          {"duration", core::format_duration(request.duration)},
                          {"digest", request.digest}});

    contention::lock_for_caps(tmpl);
    const auto ruling = ruling::for_request(request, tmpl, ruling::Purpose::decision);
    ruling::require_no_objections(ruling);
    if (ruling.answer != core::Eligibility::allowed) return request.state;
    return activate_or_schedule(request, tmpl, ruling, me.name);
}

State deny(std::int64_t id, const std::optional<std::string>& reason) {
    const auto me = principal::caller();
    request::check_text(reason, "reason");
    if (!reason)
        throw Failure(Code::invalid_argument, "invalid reason", "It is NULL.",
                      "Tell the requester why, jit_deny(id, 'why').");
    Request request = request::lock_visible(me, id);
    const Template tmpl = templates::lock(request.template_id);
    check_decider(me, request, tmpl);
    check_pending(request);
    store_decision(me, request, {"deny", reason, std::nullopt, request.digest});
    return request::advance(request, Event::deny, me.name, reason);
}

// ---- resume, revoke ----------------------------------------------------------------------------------------------

State resume(std::int64_t id, const std::optional<std::string>& reason, const principal::Origin& origin) {
    const auto me = principal::caller();
    request::check_text(reason, "reason");
    Request request = request::lock_visible(me, id);
    const Template tmpl = templates::lock(request.template_id);
    check_decider(me, request, tmpl);
    templates::check_closure(tmpl);
    second_factor::require(me, Stage::approval, tmpl.second_factor);
    principal::require_own_statement(me, origin, "grant " + std::to_string(id) + " is resumed");
    const State state = request::advance(request, Event::resume, me.name, reason);
    confirm::resume(id);
    return state;
}

namespace {

// Runs before the row is locked, because locking may end a session, and not every user may cause that. Of the columns
// that this reads, only the state can change.
State check_revoker(const principal::Person& me, std::int64_t id) {
    request::require_visible(me, id);
    const auto row =
        pg::query_row("SELECT requester, template_id, state::text FROM jit_access.request WHERE id = $1", {id}).value();
    if (row.get<pg::RoleId>(0) == me.role || principal::may_decide(me, row.get<std::int64_t>(1)) ||
        principal::is_admin(me))
        return core::state_from(row.get<std::string>(2)).value();
    throw Failure(Code::not_permitted, "\"" + me.name + "\" may not revoke grant " + std::to_string(id),
                  "Only its holder, the approvers of its template and administrators may.");
}

// The caller holds the lock on the row.
State store_revocation(Request& request, const principal::Person& me, const std::optional<std::string>& reason) {
    if (request.state == State::pending)
        throw Failure(Code::wrong_state, "cannot revoke " + request_text(request.id),
                      "It is pending, nothing has been granted.",
                      "The requester can cancel it, an approver can deny it.");
    const State state = request::advance(request, Event::revoke, me.name, reason);
    commit_actions::finish(static_cast<std::uint64_t>(request.id));
    pg::flush_commit();
    // Revoking the memberships now, and not in the worker's next round, lets the holder's other work continue without
    // the grant at once. If it fails, the worker retries it.
    (void)pg::in_subtransaction([&] {
        constexpr int patience_ms = 200;
        const pg::LockTimeoutScope timeout(patience_ms);
        cleanup::revoke_grant_memberships(request.id);
    });
    return state;
}

// The result of a subtransaction.
struct Attempt {
    std::optional<std::string> fault;  // nothing if the subtransaction was released
    std::exception_ptr error;
    std::string sqlstate;  // empty if it was no error of the server
};

Attempt try_in_subtransaction(int lock_timeout_ms, const std::function<void()>& body) {
    Attempt attempt;
    attempt.fault = pg::in_subtransaction([&] {
        const pg::LockTimeoutScope timeout(lock_timeout_ms);
        try {
            body();
        } catch (const pg::ServerError& server_error) {
            attempt.sqlstate = server_error.sqlstate();
            attempt.error = std::current_exception();
            throw;
        } catch (...) {
            attempt.error = std::current_exception();
            throw;
        }
    });
    return attempt;
}

// Calls `read` in a subtransaction that is rolled back, which releases the locks that it took. Otherwise they would be
// held until the transaction ends.
template <class Read>
auto read_without_locks(Read&& read) {
    using Result = std::invoke_result_t<Read>;
    struct Done {};
    std::optional<Result> result;
    std::exception_ptr error;
    (void)pg::in_subtransaction([&] {
        try {
            result.emplace(read());
        } catch (...) {
            error = std::current_exception();
            throw;
        }
        throw Done{};  // rolls back
    });
    if (error) std::rethrow_exception(error);
    return std::move(*result);
}

// Like check_revoker(), for a full lock table. A session can lock 16 relations without an entry in the lock table
// (fast-path locks, storage/lmgr/README), and each query here locks no more than that.
State check_revoker_with_few_locks(const principal::Person& me, std::int64_t id) {
    const auto row = read_without_locks([&] {
        return pg::query_row("SELECT requester, template_id, state::text FROM jit_access.request WHERE id = $1", {id});
    });
    if (!row) throw Failure(Code::unknown_request, request_text(id) + " does not exist, or you may not see it");
    if (row->get<pg::RoleId>(0) == me.role || principal::is_admin(me) ||
        read_without_locks([&] { return principal::may_decide(me, row->get<std::int64_t>(1)); }))
        return core::state_from(row->get<std::string>(2)).value();
    throw Failure(Code::unknown_request, request_text(id) + " does not exist, or you may not see it");
}

// Like check_revoker(), even if another session keeps a whole table locked, or if the lock table is full.
State check_revoker_in_time(const principal::Person& me, std::int64_t id) {
    constexpr int patience_ms = 1000;
    State seen{};
    const auto attempt = try_in_subtransaction(patience_ms, [&] { seen = check_revoker(me, id); });
    if (!attempt.fault) return seen;
    if (attempt.sqlstate == pg::sqlstate::out_of_memory) return check_revoker_with_few_locks(me, id);
    if (attempt.sqlstate != pg::sqlstate::lock_not_available) std::rethrow_exception(attempt.error);
    blocking_session::end_holders_of_tables();
    return check_revoker(me, id);
}

// Ends the access first. Then changes the tables, in a subtransaction: if that fails now, the worker does it later.
State revoke_at_once(std::int64_t id, const principal::Person& me, const std::optional<std::string>& reason) {
    constexpr int patience_ms = 200;
    bool has_ended = false;
    const auto attempt = try_in_subtransaction(patience_ms, [&] {
        // The row is locked before access ends, unless another session has locked it, so that the worker cannot change
        // it in between.
        auto request = request::try_lock(id);
        has_ended = revocation::end_access(id, me.role);
        if (!request && !has_ended) request = request::lock_to_end(id);
        if (!request) request = request::lock_within(id, patience_ms);
        if (!request)
            throw Failure(Code::wrong_state, "cannot change " + request_text(id), "Another session has locked it.");
        // The worker has already changed the tables.
        if (has_ended && request->state == State::revoked) return;
        store_revocation(*request, me, reason);
    });
    if (!attempt.fault) return State::revoked;
    if (!has_ended) has_ended = revocation::end_access(id, me.role);
    if (!has_ended || attempt.sqlstate == pg::sqlstate::query_canceled) std::rethrow_exception(attempt.error);
    pg::notice("grant " + std::to_string(id) + " is revoked, and the tables follow as soon as they can",
               "They could not be changed now: " + *attempt.fault);
    return State::revoked;
}

}  // namespace

State revoke(std::int64_t id, const std::optional<std::string>& reason) {
    const auto me = principal::caller();
    request::check_text(reason, "reason");
    const State seen = check_revoker_in_time(me, id);
    // A session that is bound to the grant itself gives it back only at its commit, because the work that it has done
    // under the grant could otherwise not be committed.
    if (seen == State::active && !session::is_bound_to(static_cast<std::uint64_t>(id)))
        return revoke_at_once(id, me, reason);
    Request request = request::lock_to_end(id);
    return store_revocation(request, me, reason);
}

}  // namespace jit::decision
