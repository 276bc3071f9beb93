#include "jit_access/grants/request.hpp"
#include "jit_access/policy/template_settings.hpp"

#include <set>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/grants/decision.hpp"
#include "jit_access/grants/ruling.hpp"
#include "jit_access/grants/temporary_login.hpp"
#include "jit_access/identity/second_factor.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/policy/window.hpp"
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

constexpr std::int64_t furthest_start = 90 * core::us_per_day;

std::string named(std::int64_t id) { return "request " + std::to_string(id); }

std::int64_t wanted_duration(const RequestArguments& draft, const Template& of) {
    if (!draft.duration && !of.default_duration)
        throw invalid("duration", "It is NULL, and template \"" + of.name + "\" has no default.",
                      "Say how long, for example '2h'.");
    return draft.duration ? templates::checked_duration(*draft.duration, "duration") : *of.default_duration;
}

void check_start(const std::optional<pg::Instant>& starts_at, std::int64_t now) {
    if (!starts_at) return;
    if (starts_at->us <= now)
        throw invalid("starts_at", "It is not in the future.", "Leave it out to start with the approval.");
    // Also catches infinity, which is the largest number.
    if (starts_at->us > now + furthest_start) throw invalid("starts_at", "It is more than 90 days ahead.");
}

// Whether a relation exists, and whether the template's role holds something on it. Nothing: that is no name of a
// relation.
std::optional<pg::Row> look_up(const std::string& name, const Template& of) {
    try {
        return pg::query_row(
            "SELECT c.oid IS NOT NULL, EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) x WHERE x.grantee = $2) OR "
            "EXISTS "
            "(SELECT FROM pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) x WHERE a.attrelid = c.oid AND "
            "x.grantee = $2) "
            "FROM (SELECT CASE WHEN $1 ~ '\\.' THEN pg_catalog.to_regclass($1) END AS oid) n "
            "LEFT JOIN pg_catalog.pg_class c ON c.oid = n.oid",
            {name, of.role});
    } catch (const pg::ServerError&) {
        return std::nullopt;  // the caller throws, so the failed query ends with its transaction
    }
}

// A narrowed request names relations of this database that the template's role has privileges on.
void check_scope(const std::optional<pg::TextArray>& scope, const Template& of) {
    if (!scope) return;
    if (scope->empty()) throw invalid("scope", "It is empty.", "Leave it out to ask for the whole template.");
    if (scope->size() > core::max_objects)
        throw invalid("scope", "It names " + std::to_string(scope->size()) + " objects; at most 64 are possible.");
    if (of.allow_schema_change)
        throw invalid("scope", "A template that changes the schema cannot be narrowed to tables.");
    std::set<std::string> seen;
    for (const auto& name : *scope) {
        if (!seen.insert(name).second) throw invalid("scope", "It names \"" + pg::excerpt(name) + "\" twice.");
        const auto row = look_up(name, of);
        if (!row || !row->get<bool>(0))
            throw invalid("scope", "There is no relation \"" + pg::excerpt(name) + "\".",
                          "Write schema.table, quoted as in SQL.");
        if (row->is_null(1) || !row->get<bool>(1))
            throw Failure(
                Code::privilege_refused, "template \"" + of.name + "\" does not cover \"" + pg::excerpt(name) + "\"",
                "A scope can only narrow what the template's role holds itself.", "See jit_access.template_catalog.");
    }
}

constexpr const char* row_columns =
    "SELECT id, template_id, template_version, requester, requester_name, scope, duration, requested_duration, reason, "
    "ticket, "
    "starts_at, state::text, lapses_at, activated_at, ends_at, extended, rule, digest, use_by, "
    "requested_start, break_glass FROM jit_access.request ";

Request from_row(const pg::Row& row) {
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

// As the table has it, if it is of this boot, else as the board has it: the wall clock may have been set meanwhile.
std::int64_t boot_deadline(const Request& request) {
    const auto row = pg::query_row(
        "SELECT ends_boot FROM jit_access.request WHERE id = $1 AND ends_boot IS NOT NULL AND boot_id = nullif($2, '')",
        {request.id, pg::boot_id()});
    if (row) return row->get<std::int64_t>(0);
    if (const Slot* slot = find_slot(static_cast<std::uint64_t>(request.id))) return slot->ends_boot.load();
    return pg::boot_clock() + (request.ends_at->us - pg::wall_clock());
}

}  // namespace

void check_text(const std::optional<std::string>& text, const char* what) {
    if (!text) return;
    if (const auto fault = core::fault_in_text(*text)) throw invalid(what, *fault, "Write one line of plain text.");
}

void check_requester(const principal::Person& me, const Template& of) {
    if (!pg::memberships_carry_options() && !of.set_role && !of.login && !pg::has_inherit_attribute(me.role))
        throw Failure(Code::not_permitted, "\"" + me.name + "\" cannot use template \"" + of.name + "\"",
                      "The login has NOINHERIT, so on this server version it would not have the privileges.",
                      "ALTER ROLE ... INHERIT, or use a template of mode set_role.");
    const auto live = pg::query_row(
        "SELECT count(*) FROM jit_access.request WHERE requester = $1 AND state IN "
        "('pending', 'scheduled', 'active', 'suspended')",
        {me.role});
    if (live.value().get<std::int64_t>(0) >= 64)
        throw Failure(Code::limit_exceeded, "too many open requests",
                      "\"" + me.name + "\" has 64 requests that are not decided or not over.",
                      "Withdraw some with jit_cancel or give them back with jit_revoke.");
}

std::int64_t create(const RequestArguments& draft, const principal::Origin& origin) {
    const auto me = principal::caller();
    const auto now = pg::wall_clock();
    const Template of = templates::lock(draft.template_name);
    const auto duration = principal::may_request(me, of.id) ? wanted_duration(draft, of) : 0;
    contention::lock_for_caps(of);
    check_start(draft.starts_at, now);
    const auto ruling = ruling::for_new_request(me, of, duration, draft.starts_at);
    ruling::require_no_objections(ruling);
    check_requester(me, of);
    check_text(draft.reason, "reason");
    check_text(draft.ticket, "ticket");
    if (of.reason_required && !draft.reason)
        throw invalid("reason", "Template \"" + of.name + "\" demands one.", "Say why, with reason => '...'.");
    if (of.ticket_required && !draft.ticket)
        throw invalid("ticket", "Template \"" + of.name + "\" demands one.", "Name it, with ticket => '...'.");
    check_scope(draft.scope, of);
    second_factor::require(me, Stage::request, of.second_factor);
    if (ruling.rule) principal::require_own_statement(me, origin, "template \"" + of.name + "\" is given by a rule");

    const auto row = pg::query_row(
        "INSERT INTO jit_access.request (template_id, template_version, requester, requester_name, reason, ticket, "
        "scope, duration, requested_duration, starts_at, requested_start, state, requested_at, lapses_at, rule) VALUES "
        "($1, $2, $3, "
        "$4, "
        "$5, $6, $7, $8, $8, $9, $9, 'pending', $10, $11, $12) RETURNING id",
        {of.id, of.version, me.role, me.name, pg::nullable(draft.reason), pg::nullable(draft.ticket),
         pg::nullable(draft.scope), pg::Duration{duration}, pg::nullable(draft.starts_at), pg::Instant{now},
         pg::Instant{now + of.time_to_decide}, pg::nullable(ruling.rule)});
    Request made = lock(row.value().get<std::int64_t>(0));
    made.digest = ruling::digest(made, of);
    pg::execute("UPDATE jit_access.request SET digest = $2 WHERE id = $1", {made.id, *made.digest});
    control_event::write("requested", made.id, me.name,
                        {{"template", of.name},
                         {"duration", core::format_duration(duration)},
                         {"reason", draft.reason},
                         {"ticket", draft.ticket},
                         {"digest", made.digest}});
    if (ruling.answer == core::Eligibility::allowed) decision::activate_or_schedule(made, of, ruling, "rule " + *ruling.rule);
    return made.id;
}

std::optional<Request> read(std::int64_t id) {
    const std::string sql = std::string(row_columns) + "WHERE id = $1";
    const auto row = pg::query_row(sql.c_str(), {id});
    if (!row) return std::nullopt;
    return from_row(*row);
}

Request lock(std::int64_t id) {
    const std::string sql = std::string(row_columns) + "WHERE id = $1 FOR UPDATE";
    const auto row = pg::query_row(sql.c_str(), {id});
    if (!row)
        throw Failure(Code::unknown_request, named(id) + " does not exist", {},
                      "Look at jit_access.my_requests or jit_access.pending_requests.");
    return from_row(*row);
}

std::optional<Request> try_lock(std::int64_t id) {
    const std::string sql = std::string(row_columns) + "WHERE id = $1 FOR UPDATE SKIP LOCKED";
    const auto row = pg::query_row(sql.c_str(), {id});
    if (!row) return std::nullopt;
    return from_row(*row);
}

Request lock_against_holder(std::int64_t id) {
    const auto request =
        blocking_session::wait_or_end([&] { return try_lock(id); }, [&] { blocking_session::end_requester(id); }, 200);
    return request ? *request : lock(id);
}

State advance(Request& request, Event event, const std::string& by, const std::optional<std::string>& reason) {
    request.state = request_state::advance(request.id, request.state, event, by, reason);
    return request.state;
}

State cancel(std::int64_t id, const std::optional<std::string>& reason) {
    const auto me = principal::caller();
    check_text(reason, "reason");
    Request request = lock(id);
    if (request.requester != me.role)
        throw Failure(Code::not_permitted, "only the requester can cancel " + named(id),
                      "It was asked for by somebody else.", "An approver can deny it with jit_deny.");
    if (request.state == State::active || request.state == State::suspended)
        throw Failure(Code::wrong_state, "cannot cancel " + named(id),
                      "It is " + std::string(core::to_string(request.state)) + ".",
                      "Give it back with jit_revoke(" + std::to_string(id) + ").");
    return advance(request, Event::cancel, me.name, reason);
}

pg::Instant extend(std::int64_t id, const std::optional<core::IntervalParts>& by,
                   const std::optional<std::string>& reason, const principal::Origin& origin) {
    const auto me = principal::caller();
    check_text(reason, "reason");
    if (!by) throw invalid("duration", "It is NULL.", "Say how much longer, for example '1h'.");
    const auto more = templates::checked_duration(*by, "duration");
    Request request = lock(id);
    const Template of = templates::lock(request.template_id);
    const bool holder = request.requester == me.role;
    const bool by_holder =
        holder || principal::person_of(me) == principal::person_of({request.requester, request.requester_name});
    if (!holder && !principal::may_decide(me, of.id))
        throw Failure(Code::not_permitted, "\"" + me.name + "\" may not extend " + named(id),
                      "Only its holder and the approvers of template \"" + of.name + "\" may.");
    const auto ends_boot = request.ends_at ? boot_deadline(request) : 0;
    const auto now = pg::both_clocks();
    if (request.state != State::active || request.ends_at->us <= now.wall || ends_boot <= now.boot)
        throw Failure(Code::wrong_state, "cannot extend " + named(id),
                      request.state == State::active ? "Its deadline has passed."
                                                     : "It is " + std::string(core::to_string(request.state)) + ".",
                      "Ask again with jit_request.");
    if (const auto objection =
            core::objection_to({.activated_at = request.activated_at->us,
                                .ends_at = request.ends_at->us,
                                .by = more,
                                .by_holder = by_holder,
                                .by_holder_so_far = request.extended,
                                .break_glass = request.break_glass,
                                .hours = window::hours_at(now.wall, of.windows, request.ends_at->us + more - now.wall),
                                .rules = ruling::applicable_rules({request.requester, request.requester_name}, of, now.wall,
                                                           holder ? ruling::Actor::requester : ruling::Actor::other)},
                               ruling::policy_of(of), id))
        throw Failure(*objection);
    second_factor::require(me, holder ? Stage::request : Stage::approval, of.second_factor);
    principal::require_own_statement(me, origin, "grant " + std::to_string(id) + " is extended");

    const pg::Instant ends{request.ends_at->us + more};
    const auto boot = ends_boot + more;
    pg::execute(
        "UPDATE jit_access.request SET ends_at = $2, ends_boot = $3, boot_id = $4, extended = extended + $5 "
        "WHERE id = $1",
        {id, ends, boot, pg::boot_id(), pg::Duration{by_holder ? more : 0}});
    commit_actions::move_deadline(static_cast<std::uint64_t>(id), {ends.us, boot});
    temporary_login::move_deadline(id, ends);
    control_event::write("extended", id, me.name, {{"by", core::format_duration(more)}, {"reason", reason}});
    return ends;
}

}  // namespace jit::request
