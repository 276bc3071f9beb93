#include "jit_access/grants/request.hpp"

#include <set>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/grants/decision.hpp"
#include "jit_access/grants/request_digest.hpp"
#include "jit_access/grants/revocation.hpp"
#include "jit_access/grants/ruling.hpp"
#include "jit_access/grants/temporary_login.hpp"
#include "jit_access/identity/second_factor.hpp"
#include "jit_access/identity/service_identity.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/policy/template_settings.hpp"
#include "jit_access/policy/window.hpp"
#include "jit_access/shared/attempt_counter.hpp"
#include "jit_access/shared/blocking_session.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/request_state.hpp"

namespace jit::request {

using core::Code;
using core::Event;
using core::Failure;
using core::invalid;
using core::State;
using second_factor::Stage;
using templates::Template;

namespace {

constexpr std::int64_t max_start_ahead = 90 * core::us_per_day;
constexpr std::int64_t max_open_requests = 64;

std::string request_text(std::int64_t id) { return "request " + std::to_string(id); }

std::string state_text(const Request& request) { return "It is " + std::string(core::to_string(request.state)) + "."; }

// ---- checks of a new request -------------------------------------------------------------------------------------

std::int64_t requested_duration(const RequestArguments& arguments, const Template& tmpl) {
    if (!arguments.duration && !tmpl.default_duration)
        throw invalid("duration", "It is NULL, and template \"" + tmpl.name + "\" has no default.",
                      "Give a duration, for example '2h'.");
    return arguments.duration ? templates::checked_duration(*arguments.duration, "duration") : *tmpl.default_duration;
}

void check_start(const std::optional<pg::Instant>& starts_at, std::int64_t now) {
    if (!starts_at) return;
    if (starts_at->us <= now)
        throw invalid("starts_at", "It is not in the future.", "Leave it out to start with the approval.");
    // Also rejects infinity, which is the largest number.
    if (starts_at->us > now + max_start_ahead) throw invalid("starts_at", "It is more than 90 days ahead.");
}

// Returns whether the relation exists, and whether the template's role holds a privilege on it or on a column of it.
// Returns nothing if `name` cannot be parsed as the name of a relation.
std::optional<pg::Row> find_relation(const std::string& name, const Template& tmpl) {
    try {
        return pg::query_row(R"sql(
            SELECT c.oid IS NOT NULL,
                   EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) x WHERE x.grantee = $2)
                   OR EXISTS (SELECT FROM pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) x
                              WHERE a.attrelid = c.oid AND x.grantee = $2)
            FROM (SELECT CASE WHEN $1 ~ '\.' THEN pg_catalog.to_regclass($1) END AS oid) n
            LEFT JOIN pg_catalog.pg_class c ON c.oid = n.oid
        )sql",
                             {name, tmpl.role});
    } catch (const pg::ServerError&) {
        return std::nullopt;  // the caller throws, which aborts the transaction of the failed query
    }
}

// A scope names relations of this database, with their schemas, on which the template's role has privileges.
void check_scope(const std::optional<pg::TextArray>& scope, const Template& tmpl) {
    if (!scope) return;
    if (scope->empty()) throw invalid("scope", "It is empty.", "Leave it out to ask for the whole template.");
    if (scope->size() > core::max_objects)
        throw invalid("scope", "It names " + std::to_string(scope->size()) + " objects; at most 64 are possible.");
    if (tmpl.allow_schema_change)
        throw invalid("scope", "A template that changes the schema cannot be narrowed to tables.");
    std::set<std::string> checked;
    for (const auto& name : *scope) {
        if (const auto fault = core::fault_in_characters(name))
            throw invalid("scope", *fault, "Write each name as one line of plain text.");
        if (!checked.insert(name).second) throw invalid("scope", "It names \"" + pg::excerpt(name) + "\" twice.");
        const auto row = find_relation(name, tmpl);
        if (!row || !row->get<bool>(0))
            throw invalid("scope", "There is no relation \"" + pg::excerpt(name) + "\".",
                          "Write schema.table, quoted as in SQL.");
        if (row->is_null(1) || !row->get<bool>(1))
            throw Failure(
                Code::privilege_refused, "template \"" + tmpl.name + "\" does not cover \"" + pg::excerpt(name) + "\"",
                "A scope can only narrow what the template's role holds itself.", "See jit_access.template_catalog.");
    }
}

void check_reason_and_ticket(const RequestArguments& arguments, const Template& tmpl) {
    check_text(arguments.reason, "reason");
    check_text(arguments.ticket, "ticket");
    if (tmpl.reason_required && !arguments.reason)
        throw invalid("reason", "Template \"" + tmpl.name + "\" demands one.", "Give one with reason => '...'.");
    if (tmpl.ticket_required && !arguments.ticket)
        throw invalid("ticket", "Template \"" + tmpl.name + "\" demands one.", "Give one with ticket => '...'.");
}

// ---- rows --------------------------------------------------------------------------------------------------------

// Append a WHERE clause.
constexpr const char* select_request = R"sql(
    SELECT id, template_id, template_version, requester, requester_name, scope, duration, requested_duration,
           reason, ticket, starts_at, state::text, lapses_at, activated_at, ends_at, extended, rule, digest,
           use_by, requested_start, break_glass
    FROM jit_access.request
)sql";

Request request_from_row(const pg::Row& row) {
    return {.id = row.get<std::int64_t>(0),
            .template_id = row.get<std::int64_t>(1),
            .template_version = row.get<std::int32_t>(2),
            .requester = row.get<pg::RoleId>(3),
            .requester_name = row.get<std::string>(4),
            .scope = row.maybe<pg::TextArray>(5),
            .duration = row.get<pg::Duration>(6).us,
            .requested_duration = row.get<pg::Duration>(7).us,
            .reason = row.maybe<std::string>(8),
            .ticket = row.maybe<std::string>(9),
            .rule = row.maybe<std::string>(16),
            .digest = row.maybe<std::string>(17),
            .use_by = row.maybe<pg::Instant>(18),
            .starts_at = row.maybe<pg::Instant>(10),
            .requested_start = row.maybe<pg::Instant>(19),
            .state = core::state_from(row.get<std::string>(11)).value(),
            .lapses_at = row.get<pg::Instant>(12),
            .activated_at = row.maybe<pg::Instant>(13),
            .ends_at = row.maybe<pg::Instant>(14),
            .extended = row.get<pg::Duration>(15).us,
            .break_glass = row.get<bool>(20)};
}

std::optional<Request> find(std::int64_t id, const char* lock_clause) {
    const std::string sql = std::string(select_request) + "WHERE id = $1 " + lock_clause;
    const auto row = pg::query_row(sql.c_str(), {id});
    if (!row) return std::nullopt;
    return request_from_row(*row);
}

// Inserts the row, in state pending, and locks it. The digest covers the id, so it is stored afterwards.
Request insert(const principal::Person& me, const RequestArguments& arguments, const Template& tmpl,
               std::int64_t duration, std::int64_t now, const std::optional<std::string>& rule) {
    const auto row = pg::query_row(
        R"sql(
        INSERT INTO jit_access.request
            (template_id, template_version, requester, requester_name, reason, ticket,
             scope, duration, requested_duration, starts_at, requested_start, state, requested_at, lapses_at, rule)
        VALUES ($1, $2, $3, $4, $5, $6,
                $7, $8, $8, $9, $9, 'pending', $10, $11, $12)
        RETURNING id
    )sql",
        {tmpl.id, tmpl.version, me.role, me.name, pg::nullable(arguments.reason), pg::nullable(arguments.ticket),
         pg::nullable(arguments.scope), pg::Duration{duration}, pg::nullable(arguments.starts_at), pg::Instant{now},
         pg::Instant{now + tmpl.time_to_decide}, pg::nullable(rule)});
    Request request = lock(row.value().get<std::int64_t>(0));
    request.digest = request_digest::compute(request, tmpl);
    pg::execute("UPDATE jit_access.request SET digest = $2 WHERE id = $1", {request.id, *request.digest});
    return request;
}

Failure unknown_or_not_visible(std::int64_t id) {
    return {Code::unknown_request, request_text(id) + " does not exist, or you may not see it",
            "A request is shown to its requester, the approvers of its template, auditors and administrators.",
            "Look at jit_access.my_requests or jit_access.pending_requests."};
}

// The deadline on the boot clock: the stored one if it belongs to this boot, otherwise the one in the slot. It cannot
// be derived from the wall clock, which may have been set since the activation.
std::int64_t boot_deadline(const Request& request) {
    const auto row = pg::query_row(R"sql(
        SELECT ends_boot FROM jit_access.request
        WHERE id = $1 AND ends_boot IS NOT NULL AND boot_id = nullif($2, '')
    )sql",
                                   {request.id, pg::boot_id()});
    if (row) return row->get<std::int64_t>(0);
    if (const Slot* slot = find_slot(static_cast<std::uint64_t>(request.id))) return slot->ends_boot.load();
    return pg::boot_clock() + (request.ends_at->us - pg::wall_clock());
}

}  // namespace

void check_text(const std::optional<std::string>& text, const char* argument) {
    if (!text) return;
    if (const auto fault = core::fault_in_text(*text)) throw invalid(argument, *fault, "Write one line of plain text.");
}

void check_requester(const principal::Person& requester, const Template& tmpl) {
    // Before PostgreSQL 16, whether a membership is inherited is an attribute of the member.
    if (!pg::memberships_carry_options() && !tmpl.set_role && !tmpl.login && !pg::has_inherit_attribute(requester.role))
        throw Failure(Code::not_permitted, "\"" + requester.name + "\" cannot use template \"" + tmpl.name + "\"",
                      "The login has NOINHERIT, so on this server version it would not have the privileges.",
                      "ALTER ROLE ... INHERIT, or use a template of mode set_role.");
    const auto open = pg::query_row(R"sql(
        SELECT count(*) FROM jit_access.request
        WHERE requester = $1 AND state IN ('pending', 'scheduled', 'active', 'suspended')
    )sql",
                                    {requester.role});
    if (open.value().get<std::int64_t>(0) >= max_open_requests)
        throw Failure(Code::limit_exceeded, "too many open requests",
                      "\"" + requester.name + "\" has 64 requests that are not decided or not over.",
                      "Withdraw some with jit_cancel or give them back with jit_revoke.");
}

std::int64_t create(const RequestArguments& arguments, const principal::Origin& origin) {
    const auto me = principal::caller();
    const auto now = pg::wall_clock();
    const Template tmpl = templates::lock_visible(me, arguments.template_name);
    // A person who may not request the template is told that, and not that the duration is missing.
    const auto duration = principal::may_request(me, tmpl.id) ? requested_duration(arguments, tmpl) : 0;
    contention::lock_for_caps(tmpl);
    check_start(arguments.starts_at, now);
    const auto ruling = ruling::for_new_request(me, tmpl, duration, arguments.starts_at);
    ruling::require_no_objections(ruling);
    check_requester(me, tmpl);
    check_reason_and_ticket(arguments, tmpl);
    check_scope(arguments.scope, tmpl);
    second_factor::require(me, Stage::request, tmpl.second_factor);
    if (!service_identity::is_actor() && !attempt_counter::admit_request())
        throw Failure(Code::limit_exceeded, "too many requests within a minute",
                      "A login may make as many as jit_access.attempt_rate, which is " +
                          std::to_string(settings::attempt_rate) + ".",
                      "Wait a minute.");
    // A request that a rule allows gives access at once.
    if (ruling.rule) principal::require_own_statement(me, origin, "template \"" + tmpl.name + "\" is given by a rule");

    Request request = insert(me, arguments, tmpl, duration, now, ruling.rule);
    control_event::write("requested", request.id, me.name,
                         {{"template", tmpl.name},
                          {"duration", core::format_duration(duration)},
                          {"reason", arguments.reason},
                          {"ticket", arguments.ticket},
                          {"digest", request.digest}});
    if (ruling.answer == core::Eligibility::allowed)
        decision::activate_or_schedule(request, tmpl, ruling, "rule " + *ruling.rule);
    return request.id;
}

std::optional<Request> read(std::int64_t id) { return find(id, ""); }

Request lock(std::int64_t id) {
    if (const auto request = find(id, "FOR UPDATE")) return *request;
    throw unknown_or_not_visible(id);
}

// The columns that it reads never change, so no lock is needed.
void require_visible(const principal::Person& person, std::int64_t id) {
    const auto row =
        pg::query_row("SELECT requester, requester_name, template_id FROM jit_access.request WHERE id = $1", {id});
    if (!row) throw unknown_or_not_visible(id);
    const principal::Person requester{row->get<pg::RoleId>(0), row->get<std::string>(1)};
    if (requester.role == person.role || principal::person_of(requester) == principal::person_of(person) ||
        principal::may_decide(person, row->get<std::int64_t>(2)) || principal::may_audit(person.role))
        return;
    throw unknown_or_not_visible(id);
}

Request lock_visible(const principal::Person& person, std::int64_t id) {
    require_visible(person, id);
    return lock(id);
}

std::optional<Request> try_lock(std::int64_t id) { return find(id, "FOR UPDATE SKIP LOCKED"); }

std::optional<Request> lock_within(std::int64_t id, int patience) {
    return blocking_session::wait_or_end([&] { return try_lock(id); }, [] {}, patience);
}

Request lock_to_end(std::int64_t id) {
    constexpr int patience_ms = 200;
    const auto request = blocking_session::wait_or_end(
        [&] { return try_lock(id); }, [&] { blocking_session::end_holders_of_request(id); }, patience_ms);
    return request ? *request : lock(id);
}

State advance(Request& request, Event event, const std::string& actor, const std::optional<std::string>& reason) {
    request.state = request_state::advance(request.id, request.state, event, actor, reason);
    return request.state;
}

State cancel(std::int64_t id, const std::optional<std::string>& reason) {
    const auto me = principal::caller();
    check_text(reason, "reason");
    Request request = lock_visible(me, id);
    if (request.requester != me.role)
        throw Failure(Code::not_permitted, "only the requester can cancel " + request_text(id), "Another user made it.",
                      "An approver can deny it with jit_deny.");
    if (request.state == State::active || request.state == State::suspended)
        throw Failure(Code::wrong_state, "cannot cancel " + request_text(id), state_text(request),
                      "Give it back with jit_revoke(" + std::to_string(id) + ").");
    return advance(request, Event::cancel, me.name, reason);
}

namespace {

// Throws an error if this active grant must not be extended by `more`.
void check_extension(const Request& request, const Template& tmpl, const principal::Person& me, std::int64_t more,
                     bool by_holder, std::int64_t now) {
    const auto actor = request.requester == me.role ? ruling::Actor::requester : ruling::Actor::other;
    const core::Extension extension{
        .activated_at = request.activated_at->us,
        .ends_at = request.ends_at->us,
        .by = more,
        .by_holder = by_holder,
        .by_holder_so_far = request.extended,
        .break_glass = request.break_glass,
        .hours = window::hours_at(now, tmpl.windows, request.ends_at->us + more - now),
        .rules = ruling::applicable_rules({request.requester, request.requester_name}, tmpl, now, actor)};
    if (const auto objection = core::objection_to(extension, ruling::policy_of(tmpl), request.id))
        throw Failure(*objection);
}

}  // namespace

pg::Instant extend(std::int64_t id, const std::optional<core::IntervalParts>& duration,
                   const std::optional<std::string>& reason, const principal::Origin& origin) {
    const auto me = principal::caller();
    check_text(reason, "reason");
    if (!duration) throw invalid("duration", "It is NULL.", "Give the additional time, for example '1h'.");
    const auto more = templates::checked_duration(*duration, "duration");
    Request request = lock_visible(me, id);
    const Template tmpl = templates::lock(request.template_id);
    const bool is_requester = request.requester == me.role;
    // All logins of the holder are compared, because another login must not make the holder an approver.
    const bool by_holder =
        is_requester || principal::person_of(me) == principal::person_of({request.requester, request.requester_name});
    if (!is_requester && !principal::may_decide(me, tmpl.id))
        throw Failure(Code::not_permitted, "\"" + me.name + "\" may not extend " + request_text(id),
                      "Only its holder and the approvers of template \"" + tmpl.name + "\" may.");
    const auto ends_boot = request.ends_at ? boot_deadline(request) : 0;
    const auto now = pg::both_clocks();
    if (revocation::is_noted(id)) request.state = State::revoked;  // its row does not show this yet
    if (request.state != State::active || request.ends_at->us <= now.wall || ends_boot <= now.boot)
        throw Failure(Code::wrong_state, "cannot extend " + request_text(id),
                      request.state == State::active ? "Its deadline has passed." : state_text(request),
                      "Ask again with jit_request.");
    check_extension(request, tmpl, me, more, by_holder, now.wall);
    second_factor::require(me, is_requester ? Stage::request : Stage::approval, tmpl.second_factor);
    principal::require_own_statement(me, origin, "grant " + std::to_string(id) + " is extended");

    // lock() holds the row lock. The slot is updated at commit; if the deadline has passed by then, the commit fails.
    const pg::Instant ends{request.ends_at->us + more};
    const auto boot = ends_boot + more;
    pg::execute(R"sql(
        UPDATE jit_access.request
        SET ends_at = $2, ends_boot = $3, boot_id = $4, extended = extended + $5
        WHERE id = $1
    )sql",
                {id, ends, boot, pg::boot_id(), pg::Duration{by_holder ? more : 0}});
    commit_actions::move_deadline(static_cast<std::uint64_t>(id), {ends.us, boot});
    temporary_login::move_deadline(id, ends);
    control_event::write("extended", id, me.name, {{"by", core::format_duration(more)}, {"reason", reason}});
    return ends;
}

}  // namespace jit::request
