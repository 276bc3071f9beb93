#include "jit_access/oversight/break_glass.hpp"

#include <algorithm>

#include "jit_access/core/detection.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/denied_attempt.hpp"
#include "jit_access/grants/provision.hpp"
#include "jit_access/grants/request_digest.hpp"
#include "jit_access/grants/ruling.hpp"
#include "jit_access/identity/second_factor.hpp"
#include "jit_access/oversight/alert.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/policy/template_settings.hpp"
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

std::string name_of(std::int64_t id) { return "break-glass " + std::to_string(id); }

// Without an argument, the duration is at most the default of an ordinary request.
std::int64_t requested_duration(const BreakGlassArguments& arguments, const Template& tmpl) {
    if (arguments.duration) return templates::checked_duration(*arguments.duration, "duration");
    const auto max = tmpl.break_glass_duration.value_or(core::us_per_second);
    return std::min(tmpl.default_duration.value_or(max), max);
}

Request insert_request(const Person& caller, const Template& tmpl, std::int64_t duration, const std::string& reason) {
    const auto row = pg::query_row(
        R"sql(
        INSERT INTO jit_access.request
            (template_id, template_version, requester, requester_name, reason, duration, requested_duration, state,
             requested_at, lapses_at, break_glass)
        VALUES ($1, $2, $3, $4, $5, $6, $6, 'pending', $7, $7, true)
        RETURNING id)sql",
        {tmpl.id, tmpl.version, caller.role, caller.name, reason, pg::Duration{duration},
         pg::Instant{pg::wall_clock()}});
    Request request = request::lock(row.value().get<std::int64_t>(0));
    request.digest = request_digest::compute(request, tmpl);
    pg::execute("UPDATE jit_access.request SET digest = $2 WHERE id = $1", {request.id, *request.digest});
    return request;
}

// The unique index allows a person one open review. A check before the INSERT would not be enough, because two sessions
// of the person do not see each other's rows, but the index makes the second one wait.
void open_review(const Person& caller, const Request& request) {
    const auto now = pg::wall_clock();
    try {
        pg::execute("INSERT INTO jit_access.review (request_id, person, opened_at, due_at) VALUES ($1, $2, $3, $4)",
                    {request.id, principal::person_of(caller), pg::Instant{now},
                     pg::Instant{now + request.duration + time_to_review}});
    } catch (const pg::ServerError& error) {  // the handler always throws, which aborts the transaction
        if (error.sqlstate() != unique_violation) throw;
        throw Failure(Code::unreviewed, "another break-glass of \"" + caller.name + "\" has not been reviewed",
                      "It was made at the same time.", "See jit_access.reviews.");
    }
}

void raise_alert(const Person& caller, const Request& request, const Template& tmpl) {
    alert::raise({.rule = core::alert_rule_name("break_glass"),
                  .about = caller,
                  .grant = request.id,
                  .state = request.state,
                  .detail = {{"login", caller.name},
                             {"template", tmpl.name},
                             {"reason", request.reason},
                             {"duration", core::format_duration(request.duration)}}},
                 caller.name);
}

}  // namespace

std::int64_t create(const BreakGlassArguments& arguments, const principal::Origin& origin) {
    const auto caller = principal::caller();
    const Template tmpl = templates::lock_visible(caller, arguments.template_name);
    const auto duration = principal::may_break_glass(caller, tmpl.id) ? requested_duration(arguments, tmpl) : 0;
    contention::lock_for_caps(tmpl);
    const auto ruling = ruling::for_break_glass(caller, tmpl, duration);
    ruling::require_no_objections(ruling);
    request::check_requester(caller, tmpl);
    request::check_text(arguments.reason, "reason");
    if (!arguments.reason) throw invalid("reason", "It is NULL.", "Describe what has happened for the reviewer.");
    second_factor::require(caller, second_factor::Stage::request, tmpl.second_factor);
    second_factor::require(caller, second_factor::Stage::activation, tmpl.second_factor);
    principal::require_own_statement(caller, origin, "the glass is broken for template \"" + tmpl.name + "\"");

    Request request = insert_request(caller, tmpl, duration, *arguments.reason);
    open_review(caller, request);
    pg::execute("UPDATE jit_access.request SET reasons = $2 WHERE id = $1", {request.id, ruling.reasons()});
    control_event::write("break-glass", request.id, caller.name,
                         {{"template", tmpl.name},
                          {"duration", core::format_duration(duration)},
                          {"reason", arguments.reason},
                          {"digest", request.digest}});
    provision::activate(request, tmpl, ruling, caller.name);
    raise_alert(caller, request, tmpl);
    return request.id;
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
                      "It is an ordinary request, not a break-glass.", "See jit_access.reviews.");
    return {row->get<std::string>(0), row->maybe<std::string>(1)};
}

// The reviewer must not be the responder: neither the person at the time of the break-glass request, nor the person to
// whom that login belongs now.
void check_reviewer(const Person& caller, const Request& request, const Review& review, const Template& tmpl) {
    const auto person = principal::person_of(caller);
    const Person responder{request.requester, request.requester_name};
    if (person == review.person || person == principal::person_of(responder) || caller.name == responder.name)
        denied_attempt::record_and_throw(
            {Code::own_request, "users cannot review their own break-glass",
             caller.role == responder.role
                 ? "Break-glass " + std::to_string(request.id) + " is yours."
                 : "\"" + caller.name + "\" and \"" + responder.name + "\" are the same person.",
             "Another approver of template \"" + tmpl.name + "\" has to review it."});
    principal::require_approver(caller, tmpl.id, tmpl.name, "review " + name_of(request.id));
}

void check_reviewable(const Request& request, const Review& review) {
    if (review.reviewer)
        throw Failure(Code::wrong_state, name_of(request.id) + " has been reviewed",
                      "\"" + *review.reviewer + "\" did it.", "See jit_access.reviews.");
    if (!core::is_terminal(request.state))
        throw Failure(Code::wrong_state, "cannot review " + name_of(request.id) + " yet",
                      "It is " + std::string(core::to_string(request.state)) + ": a grant is reviewed after its end.",
                      "Wait for its end, or end it with jit_revoke(" + std::to_string(request.id) + ").");
}

void check_assessment(const Assessment& assessment) {
    if (assessment.verdict != justified && assessment.verdict != not_justified)
        throw invalid(
            "verdict",
            assessment.verdict ? "\"" + pg::excerpt(*assessment.verdict) + "\" is not a verdict." : "It is NULL.",
            "Allowed values are justified and not_justified.");
    request::check_text(assessment.comment, "comment");
    if (!assessment.comment)
        throw invalid("comment", "It is NULL.", "Describe what you have examined and what you found.");
}

}  // namespace

std::string review(std::int64_t id, const Assessment& assessment, const principal::Origin& origin) {
    request::require_visible(principal::caller(), id);
    return review_item(id, assessment, origin);
}

std::string review_item(std::int64_t id, const Assessment& assessment, const principal::Origin& origin) {
    const auto caller = principal::caller();
    check_assessment(assessment);
    const Request request = request::lock(id);
    const Review review = lock_review(id);
    const Template tmpl = templates::lock(request.template_id);
    check_reviewer(caller, request, review, tmpl);
    check_reviewable(request, review);
    principal::require_own_statement(caller, origin, name_of(id) + " is reviewed");
    pg::execute(
        R"sql(
        UPDATE jit_access.review
        SET reviewer = $2, reviewer_name = $3, verdict = $4, comment = $5, reviewed_at = pg_catalog.clock_timestamp()
        WHERE request_id = $1)sql",
        {id, caller.role, caller.name, *assessment.verdict, *assessment.comment});
    control_event::write("reviewed", id, caller.name,
                         {{"verdict", assessment.verdict}, {"comment", assessment.comment}});
    if (assessment.verdict == not_justified)
        alert::raise({.rule = core::alert_rule_name("break_glass_not_justified"),
                      .about = {request.requester, request.requester_name},
                      .grant = id,
                      .state = request.state,
                      .detail = {{"login", request.requester_name},
                                 {"template", tmpl.name},
                                 {"reviewer", caller.name},
                                 {"comment", assessment.comment}}},
                     caller.name);
    return *assessment.verdict;
}

}  // namespace jit::break_glass
