#include "jit_access/oversight/break_glass.hpp"
#include "jit_access/policy/template_settings.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/grants/provision.hpp"
#include "jit_access/grants/ruling.hpp"
#include "jit_access/identity/second_factor.hpp"
#include "jit_access/oversight/alert.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/shared/control_event.hpp"

namespace jit::break_glass {

using core::Code;
using core::Failure;
using core::invalid;
using principal::Person;
using request::Request;
using templates::Template;

namespace {

constexpr std::int64_t time_to_review = 3 * core::us_per_day;
constexpr const char* justified = "justified";
constexpr const char* not_justified = "not_justified";
constexpr std::string_view unique_violation = "23505";

std::string named(std::int64_t id) { return "break-glass " + std::to_string(id); }

// No longer than a request would be, unless he says so.
std::int64_t wanted_duration(const BreakGlassArguments& draft, const Template& of) {
    if (draft.duration) return templates::checked_duration(*draft.duration, "duration");
    const auto longest = of.break_glass_duration.value_or(core::us_per_second);
    return std::min(of.default_duration.value_or(longest), longest);
}

Request write_request(const Person& me, const Template& of, std::int64_t duration, const std::string& reason) {
    const auto row = pg::query_row(
        "INSERT INTO jit_access.request (template_id, template_version, requester, requester_name, reason, duration, "
        "requested_duration, state, requested_at, lapses_at, break_glass) VALUES ($1, $2, $3, $4, $5, $6, $6, "
        "'pending', $7, $7, "
        "true) RETURNING id",
        {of.id, of.version, me.role, me.name, reason, pg::Duration{duration}, pg::Instant{pg::wall_clock()}});
    Request made = request::lock(row.value().get<std::int64_t>(0));
    made.digest = ruling::digest(made, of);
    pg::execute("UPDATE jit_access.request SET digest = $2 WHERE id = $1", {made.id, *made.digest});
    return made;
}

// A person has one open review, whatever two of his sessions see of each other: the index makes the second one wait.
void open_review(const Person& me, const Request& of) {
    const auto now = pg::wall_clock();
    try {
        pg::execute(
            "INSERT INTO jit_access.review (request_id, person, opened_at, due_at) VALUES ($1, $2, $3, $4)",
            {of.id, principal::person_of(me), pg::Instant{now}, pg::Instant{now + of.duration + time_to_review}});
    } catch (const pg::ServerError& error) {  // this throws, so the failed command ends with its transaction
        if (error.sqlstate() != unique_violation) throw;
        throw Failure(Code::unreviewed, "another break-glass of \"" + me.name + "\" has not been reviewed",
                      "It was made at the same time.", "Look at jit_access.reviews.");
    }
}

void tell(const Person& me, const Request& of, const Template& tmpl) {
    alert::raise({.rule = "break_glass",
                  .about = me,
                  .grant = of.id,
                  .state = of.state,
                  .detail = {{"login", me.name},
                             {"template", tmpl.name},
                             {"reason", of.reason},
                             {"duration", core::format_duration(of.duration)}}},
                 me.name);
}

}  // namespace

std::int64_t ask(const BreakGlassArguments& draft, const principal::Origin& origin) {
    const auto me = principal::caller();
    const Template of = templates::lock(draft.template_name);
    const auto duration = principal::may_break_glass(me, of.id) ? wanted_duration(draft, of) : 0;
    contention::lock_for_caps(of);
    const auto ruling = ruling::for_break_glass(me, of, duration);
    ruling::require_no_objections(ruling);
    request::check_requester(me, of);
    request::check_text(draft.reason, "reason");
    if (!draft.reason)
        throw invalid("reason", "It is NULL.", "Say what has happened: whoever reviews it wants to know.");
    second_factor::require(me, second_factor::Stage::request, of.second_factor);
    second_factor::require(me, second_factor::Stage::activation, of.second_factor);
    principal::require_own_statement(me, origin, "the glass is broken for template \"" + of.name + "\"");

    Request made = write_request(me, of, duration, *draft.reason);
    open_review(me, made);
    pg::execute("UPDATE jit_access.request SET reasons = $2 WHERE id = $1", {made.id, ruling.reasons()});
    control_event::write("break-glass", made.id, me.name,
                         {{"template", of.name},
                          {"duration", core::format_duration(duration)},
                          {"reason", draft.reason},
                          {"digest", made.digest}});
    provision::activate(made, of, ruling, me.name);
    tell(me, made, of);
    return made.id;
}

namespace {

struct Review {
    core::PersonId person;
    std::optional<std::string> reviewer;
};

Review lock_review(std::int64_t id) {
    const auto row =
        pg::query_row("SELECT person, reviewer_name FROM jit_access.review WHERE request_id = $1 FOR UPDATE", {id});
    if (!row)
        throw Failure(Code::wrong_state, "request " + std::to_string(id) + " has nothing to review",
                      "It was asked for and decided, not taken by breaking the glass.", "Look at jit_access.reviews.");
    return {row->get<std::string>(0), row->maybe<std::string>(1)};
}

// By none of the logins that he has now, nor as the person that he was then.
void check_reviewer(const Person& me, const Request& about, const Review& review, const Template& of) {
    const auto person = principal::person_of(me);
    const Person responder{about.requester, about.requester_name};
    if (person == review.person || person == principal::person_of(responder) || me.name == responder.name)
        throw Failure(Code::own_request, "nobody reviews his own break-glass",
                      me.role == responder.role
                          ? "Break-glass " + std::to_string(about.id) + " is yours."
                          : "\"" + me.name + "\" and \"" + responder.name + "\" are the same person.",
                      "Another approver of template \"" + of.name + "\" has to review it.");
    principal::require_approver(me, of.id, of.name, "review " + named(about.id));
}

void check_reviewable(const Request& about, const Review& review) {
    if (review.reviewer)
        throw Failure(Code::wrong_state, named(about.id) + " has been reviewed", "\"" + *review.reviewer + "\" did it.",
                      "Look at jit_access.reviews.");
    if (!core::is_terminal(about.state))
        throw Failure(
            Code::wrong_state, "cannot review " + named(about.id) + " yet",
            "It is " + std::string(core::to_string(about.state)) + ": what is done with it is known when it has ended.",
            "Wait for its end, or end it with jit_revoke(" + std::to_string(about.id) + ").");
}

void check_verdict(const Assessment& verdict) {
    if (verdict.word != justified && verdict.word != not_justified)
        throw invalid("verdict", verdict.word ? "\"" + pg::excerpt(*verdict.word) + "\" is none." : "It is NULL.",
                      "Say justified or not_justified.");
    request::check_text(verdict.comment, "comment");
    if (!verdict.comment) throw invalid("comment", "It is NULL.", "Say what you have looked at, and what you found.");
}

}  // namespace

std::string review(std::int64_t id, const Assessment& verdict, const principal::Origin& origin) {
    const auto me = principal::caller();
    check_verdict(verdict);
    const Request about = request::lock(id);
    const Review open = lock_review(id);
    const Template of = templates::lock(about.template_id);
    check_reviewer(me, about, open, of);
    check_reviewable(about, open);
    principal::require_own_statement(me, origin, named(id) + " is reviewed");
    pg::execute(
        "UPDATE jit_access.review SET reviewer = $2, reviewer_name = $3, verdict = $4, comment = $5, reviewed_at = "
        "pg_catalog.clock_timestamp() WHERE request_id = $1",
        {id, me.role, me.name, *verdict.word, *verdict.comment});
    control_event::write("reviewed", id, me.name, {{"verdict", verdict.word}, {"comment", verdict.comment}});
    if (verdict.word == not_justified)
        alert::raise({.rule = "break_glass_not_justified",
                      .about = {about.requester, about.requester_name},
                      .grant = id,
                      .state = about.state,
                      .detail = {{"login", about.requester_name},
                                 {"template", of.name},
                                 {"reviewer", me.name},
                                 {"comment", verdict.comment}}},
                     me.name);
    return *verdict.word;
}

}  // namespace jit::break_glass
