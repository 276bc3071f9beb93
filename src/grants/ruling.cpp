#include "jit_access/grants/ruling.hpp"

#include <algorithm>

#include "jit_access/enforcement/denied_attempt.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/client.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/digest.hpp"
#include "jit_access/policy/conditions.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/policy/window.hpp"

namespace jit::ruling {

using principal::Person;
using request::Request;
using templates::Template;

namespace {

// What the caps of the template ask about, and no more: a template may have had any number of grants.
core::Usage usage_of(const core::PersonId& person, const Template& of, std::int64_t except) {
    if (!contention::has_caps(of)) return {};
    const auto row =
        pg::query_row(
            "WITH live AS (SELECT requester FROM jit_access.request WHERE template_id = $1 AND id <> $3 AND state IN "
            "('active', 'suspended')) SELECT (SELECT count(*) FROM live WHERE requester = ANY ($2::oid[])), (SELECT "
            "count(*) FROM jit_access.request WHERE template_id = $1 AND id <> $3 AND requester = ANY ($2::oid[]) AND "
            "activated_at > $4::timestamptz - interval '24 hours'), (SELECT count(*) FROM live), CASE WHEN $6 THEN "
            "(SELECT count(*) FROM jit_access.request WHERE template_id = $1 AND id <> $3 AND activated_at > "
            "$4::timestamptz - interval '24 hours') ELSE 0 END, CASE WHEN $5 > interval '0' THEN (SELECT "
            "max(closed_at) FROM jit_access.request WHERE template_id = $1 AND id <> $3 AND requester = ANY "
            "($2::oid[]) AND activated_at IS NOT NULL) END",
            {of.id, principal::logins_of(person), except, pg::Instant{pg::wall_clock()},
             pg::Duration{of.cool_down.value_or(0)}, of.template_per_day != 0})
            .value();
    core::Usage usage{.person_now = row.get<std::int64_t>(0),
                      .person_today = row.get<std::int64_t>(1),
                      .template_now = row.get<std::int64_t>(2),
                      .template_today = row.get<std::int64_t>(3)};
    if (const auto end = row.maybe<pg::Instant>(4)) usage.last_end = end->us;
    return usage;
}

std::vector<core::Decision> voices_about(const Request& request, const Template& of) {
    std::vector<core::Decision> voices;
    const auto rows = pg::query(
        "SELECT approver, approver_name, verdict = 'approve', digest FROM jit_access.decision WHERE "
        "request_id = $1",
        {request.id});
    if (rows.empty()) return voices;
    const auto now = digest(request, of);
    for (const auto& row : rows) {
        const Person approver{row.get<pg::RoleId>(0), row.get<std::string>(1)};
        // His role was dropped or renamed: nobody can say that he is who he was.
        const bool known = pg::role_name(approver.role) == approver.name;
        voices.push_back({.person = principal::person_of(approver),
                          .groups = known ? principal::approver_groups(approver, of.id) : 0,
                          .approves = row.get<bool>(2),
                          .fresh = row.maybe<std::string>(3) == now});
    }
    return voices;
}

// Whoever the person was when he did it, and whoever his logins are now.
core::BreakGlass break_glass_of(const Person& who, const Template& of) {
    const auto person = principal::person_of(who);
    const auto row =
        pg::query_row(
            "SELECT count(*) FILTER (WHERE r.template_id = $4 AND v.opened_at > $5::timestamptz - interval "
            "'24 hours'), min(r.id) FILTER (WHERE v.reviewed_at IS NULL) FROM jit_access.review v JOIN "
            "jit_access.request r ON r.id = v.request_id WHERE v.person = $1 OR r.requester::text = ANY ($2) "
            "OR r.requester_name = $3",
            {person, principal::logins_of(person), who.name, of.id, pg::Instant{pg::wall_clock()}})
            .value();
    return {.responder = principal::may_break_glass(who, of.id),
            .today = row.get<std::int64_t>(0),
            .unreviewed = row.maybe<std::int64_t>(1)};
}

struct Wish {
    std::int64_t duration = 0;
    std::int64_t now = pg::wall_clock();
    core::Start start = core::Start::when_allowed;
    std::int64_t starts_at = now;
    std::int64_t request = 0;  // that it is, if there is one
    bool by_himself = false;   // the requester acts, in this session
};

// Of the one who asks, in the control database, which none of the databases need be.
core::Client asking_client() {
    core::Client client = pg::client();
    client.database = 0;
    return client;
}

// Whoever asked for a start that lies ahead means that one.
void ask_for(Wish& wish, const std::optional<pg::Instant>& starts_at) {
    if (!starts_at || starts_at->us <= wish.now) return;
    wish.start = core::Start::as_asked;
    wish.starts_at = starts_at->us;
}

core::PolicyFacts case_of(const Person& who, const Template& of, const Wish& wish) {
    const auto person = principal::person_of(who);
    const auto hours = window::hours_at(wish.starts_at, of.windows, wish.duration);
    return {.policy = policy_of(of),
            .who = {.person = person,
                    .name = who.name,
                    .superuser = pg::is_superuser(who.role),
                    .listed = principal::may_request(who, of.id)},
            .duration = wish.duration,
            .now = wish.now,
            .start = wish.start,
            .starts_at = wish.starts_at,
            .hours = hours,
            .conditions = conditions::for_template(of),
            .client = wish.by_himself ? std::optional(asking_client()) : std::nullopt,
            .usage = usage_of(person, of, wish.request),
            .voices = {},
            .rules = applicable_rules(who, of, core::begin_of(wish.start, wish.starts_at, hours),
                                      wish.by_himself ? Actor::requester : Actor::other)};
}

// What the roles behind the template's own have, by their access lists in this database and by what they are named in
// elsewhere. The template's own role, when we made it, has what the items say and tables made later: nobody else gives
// it anything (guard.hpp). An adopted one is somebody else's as well.
std::string privileges_behind(const Template& of) {
    pg::TextArray roles;
    for (const auto role : pg::closure(of.role))
        if (!of.role_created || role != of.role) roles.push_back(std::to_string(role.oid));
    if (roles.empty()) return {};
    return pg::query_row(
               "WITH d AS MATERIALIZED (SELECT DISTINCT refobjid AS role, dbid, classid, objid, deptype FROM "
               "pg_catalog.pg_shdepend WHERE refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND refobjid = "
               "ANY ($1::pg_catalog.oid[])), acl (role, what) AS (SELECT role, dbid || ' ' || classid || ' ' || objid "
               "|| ' ' || deptype::text FROM d UNION ALL SELECT d.role, d.objid || ' ' || x.privilege_type FROM d JOIN "
               "pg_catalog.pg_class o ON o.oid = d.objid AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass, "
               "pg_catalog.aclexplode(o.relacl) x WHERE x.grantee = d.role UNION ALL SELECT d.role, d.objid || '.' || "
               "o.attnum || ' ' || x.privilege_type FROM d JOIN pg_catalog.pg_attribute o ON o.attrelid = d.objid AND "
               "d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.attacl IS NOT NULL, "
               "pg_catalog.aclexplode(o.attacl) x WHERE x.grantee = d.role UNION ALL SELECT d.role, d.objid || ' ' || "
               "x.privilege_type FROM d JOIN pg_catalog.pg_namespace o ON o.oid = d.objid AND d.classid = "
               "'pg_catalog.pg_namespace'::pg_catalog.regclass, pg_catalog.aclexplode(o.nspacl) x WHERE x.grantee = "
               "d.role UNION ALL SELECT x.member, 'member of ' || x.roleid FROM pg_catalog.pg_auth_members x WHERE "
               "x.member = ANY ($1::pg_catalog.oid[])) SELECT coalesce(string_agg(role || ' ' || what, ',' ORDER BY "
               "role, what COLLATE \"C\"), '') || ' of ' || pg_catalog.array_to_string($1, ' ') FROM acl",
               {roles})
        .value()
        .get<std::string>(0);
}

// Length before text, so that nothing can pass for something else.
class Canonical {
public:
    Canonical& add(const std::string& text) {
        text_ += std::to_string(text.size()) + ":" + text;
        return *this;
    }
    Canonical& add(std::int64_t number) { return add(std::to_string(number)); }
    Canonical& add(const std::optional<std::string>& text) { return text ? add("+" + *text) : add(std::string("-")); }
    Canonical& add(const pg::TextArray& items) {
        add(static_cast<std::int64_t>(items.size()));
        for (const auto& item : items) add(item);
        return *this;
    }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    std::string text_;
};

}  // namespace

std::vector<core::Rule> applicable_rules(const Person& who, const Template& of, std::int64_t begin, Actor actor) {
    std::vector<core::Rule> rules;
    for (const auto& row :
         pg::query("SELECT name, effect = 'allow', role, max_duration, max_risk, networks = '{}' OR $2 AND coalesce("
                   "pg_catalog.inet_client_addr() <<= ANY (networks::inet[]), false), windows FROM jit_access.rule "
                   "WHERE templates = '{}' OR $1 = ANY (templates) ORDER BY name",
                   {of.id, actor == Actor::requester})) {
        if (const auto role = row.maybe<pg::RoleId>(2); role && !principal::is_member_without_grant(who.role, *role))
            continue;
        core::Rule rule{.name = row.get<std::string>(0), .allows = row.get<bool>(1), .here = row.get<bool>(5)};
        rule.open = window::hours_at(begin, row.get<pg::TextArray>(6)).open();
        if (const auto longest = row.maybe<pg::Duration>(3)) rule.max_duration = longest->us;
        if (const auto risk = row.maybe<std::string>(4)) rule.max_risk = core::risk_from(*risk).value();
        rules.push_back(std::move(rule));
    }
    return rules;
}

core::Policy policy_of(const Template& of) {
    return {.template_name = of.name,
            .approvals_needed = of.approvals_needed,
            .distinct_groups = of.distinct_groups,
            .max_duration = of.max_duration,
            .total_duration = of.total_duration,
            .holder_extension = of.holder_extension.value_or(0),
            .cool_down = of.cool_down,
            .person_at_once = of.person_at_once,
            .person_per_day = of.person_per_day,
            .template_at_once = of.template_at_once,
            .template_per_day = of.template_per_day,
            .risk = core::risk_from(of.risk).value(),
            .break_glass_duration = of.break_glass_duration,
            .break_glass_per_day = of.break_glass_per_day};
}

core::Ruling for_new_request(const Person& who, const Template& of, std::int64_t duration,
                             const std::optional<pg::Instant>& starts_at) {
    Wish wish{.duration = duration, .by_himself = true};
    ask_for(wish, starts_at);
    return core::decide(case_of(who, of, wish));
}

core::Ruling for_break_glass(const Person& who, const Template& of, std::int64_t duration) {
    auto facts = case_of(who, of, {.duration = duration, .start = core::Start::now, .by_himself = true});
    facts.ask = core::RequestKind::break_glass;
    facts.break_glass = break_glass_of(who, of);
    return core::decide(facts);
}

core::Ruling for_request(const Request& request, const Template& of, Purpose occasion) {
    Wish wish{.duration = request.duration,
              .request = request.id,
              .by_himself = occasion == Purpose::activation_by_requester};
    if (occasion == Purpose::decision)
        ask_for(wish, request.starts_at);
    else
        wish.start = core::Start::now;
    auto facts = case_of({request.requester, request.requester_name}, of, wish);
    facts.voices = voices_about(request, of);
    // A rule is for whoever asks, where he asks from: it was looked at then. Now it must still be there.
    std::erase_if(facts.rules, [&](const core::Rule& rule) { return rule.allows && rule.name != request.rule; });
    for (auto& rule : facts.rules) rule.here = rule.here || rule.allows;
    return core::decide(facts);
}

void require_no_objections(const core::Ruling& ruling) {
    if (ruling.objections.empty()) return;
    const auto& first = ruling.objections.front();
    if (first.code == core::Code::not_from_here) denied_attempt::record_and_throw(first);
    throw core::Failure(first);
}

std::string digest(const Request& request, const Template& of) {
    const std::string kind = "jit_access request 1";
    const std::string text = Canonical()
                                 .add(kind)
                                 .add(request.id)
                                 .add(request.requester_name)
                                 .add(std::int64_t{request.requester.oid})
                                 .add(of.name)
                                 .add(of.id)
                                 .add(std::int64_t{of.version})
                                 .add(of.privileges)
                                 .add(privileges_behind(of))
                                 .add(request.scope.value_or(pg::TextArray{}))
                                 .add(request.requested_duration)
                                 .add(request.requested_start ? request.requested_start->us : 0)
                                 .add(request.reason)
                                 .add(request.ticket)
                                 .text();
    pg::ServerHasher hasher;
    return core::to_hex(hasher.hash({std::as_bytes(std::span(text))}));
}

std::optional<std::string> current_digest(std::int64_t id) {
    const auto request = request::read(id);
    const principal::Person me{pg::session_user(), {}};
    if (!request || (request->requester != me.role && !principal::may_decide(me, request->template_id) &&
                     !principal::may_audit(me.role)))
        return std::nullopt;
    return digest(*request, templates::read(request->template_id));
}

}  // namespace jit::ruling
