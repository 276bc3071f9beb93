#include "jit_access/oversight/access_review.hpp"

#include <algorithm>
#include <array>

#include "jit_access/core/csv.hpp"
#include "jit_access/core/duration.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/grants/request.hpp"
#include "jit_access/oversight/break_glass.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/policy/template.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::access_review {

using core::Code;
using core::Failure;
using core::invalid;
using principal::Person;

namespace {

constexpr std::int64_t furthest_due = 366 * core::us_per_day;
constexpr const char* of_template = "template";
constexpr const char* of_break_glass = "break-glass";

std::string named(std::int64_t id) { return "access review " + std::to_string(id); }

const std::string& checked_scope(const std::optional<std::string>& scope) {
    constexpr std::array<std::string_view, 4> scopes{"all", "eligibility", "templates", "break-glass"};
    if (!scope || std::find(scopes.begin(), scopes.end(), *scope) == scopes.end())
        throw invalid("scope", scope ? "\"" + pg::excerpt(*scope) + "\" is none." : "It is NULL.",
                      "Say all, eligibility, templates or break-glass.");
    return *scope;
}

std::vector<Person> checked_reviewers(const std::optional<pg::TextArray>& names) {
    auto reviewers = principal::named(names.value_or(pg::TextArray{}), "reviewers");
    if (reviewers.empty()) throw invalid("reviewers", "There is none.", "Name the roles whose members review.");
    if (reviewers.size() > principal::max_roles)
        throw invalid("reviewers",
                      "There are " + std::to_string(reviewers.size()) + " of them; at most 64 are possible.",
                      "Name a group role.");
    return reviewers;
}

pg::Instant checked_due(const std::optional<pg::Instant>& due) {
    if (!due) throw invalid("due", "It is NULL.", "Say until when it is to be done.");
    const auto now = pg::wall_clock();
    // Also catches infinity, which is the largest number.
    if (due->us <= now || due->us > now + furthest_due)
        throw invalid("due", "It is not within the next 366 days.", "Say until when it is to be done.");
    return *due;
}

// Of a dropped template nothing stands. That of the drill is nobody's access.
std::int64_t write_items(std::int64_t id, const std::string& scope, const std::optional<pg::TextArray>& templates) {
    const auto items = pg::execute(
        "INSERT INTO jit_access.access_review_item (review_id, item, kind, template_id, role, role_name, request_id) "
        "SELECT $1, row_number() OVER (ORDER BY t.name, k.place, k.role_name, k.request_id), k.kind, k.template_id, "
        "k.role, k.role_name, k.request_id FROM (SELECT part AS kind, CASE part WHEN 'requester' THEN 2 WHEN "
        "'approver' "
        "THEN 3 ELSE 4 END AS place, template_id, role, role_name, NULL::bigint AS request_id FROM "
        "jit_access.template_person WHERE $2 IN ('all', 'eligibility') UNION ALL SELECT 'template', 1, id, NULL, NULL, "
        "NULL FROM jit_access.template WHERE $2 IN ('all', 'templates') UNION ALL SELECT 'break-glass', 5, "
        "r.template_id, r.requester, r.requester_name, r.id FROM jit_access.review v JOIN jit_access.request r ON r.id "
        "= "
        "v.request_id WHERE v.reviewed_at IS NULL AND $2 IN ('all', 'break-glass')) k JOIN jit_access.template t ON "
        "t.id "
        "= k.template_id WHERE t.dropped_at IS NULL AND t.name <> $3 AND ($4 IS NULL OR t.name = ANY ($4))",
        {id, scope, std::string(core::drill_template), pg::nullable(templates)});
    pg::execute(
        "UPDATE jit_access.access_review_item SET evidence = jit_access.review_evidence(review_id, item) WHERE "
        "review_id = $1",
        {id});
    return static_cast<std::int64_t>(items);
}

}  // namespace

std::int64_t start(const ReviewArguments& draft, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto& scope = checked_scope(draft.scope);
    const auto reviewers = checked_reviewers(draft.reviewers);
    const auto due = checked_due(draft.due);
    for (const auto& name : draft.templates.value_or(pg::TextArray{})) (void)templates::read(name);
    principal::require_own_statement(me, origin, "an access review is started");
    const auto id = pg::query_row(
                        "INSERT INTO jit_access.access_review (scope, started_at, started_by, due_at) VALUES ($1, "
                        "pg_catalog.clock_timestamp(), $2, $3) RETURNING id",
                        {scope, me.name, due})
                        .value()
                        .get<std::int64_t>(0);
    pg::TextArray names;
    for (const auto& reviewer : reviewers) {
        pg::execute("INSERT INTO jit_access.access_reviewer (review_id, role, role_name) VALUES ($1, $2, $3)",
                    {id, reviewer.role, reviewer.name});
        names.push_back(reviewer.name);
    }
    const auto items = write_items(id, scope, draft.templates);
    if (items == 0)
        throw Failure(Code::wrong_state, "there is nothing to review", "Nothing of this scope stands.",
                      "Say another scope, or other templates.");
    control_event::write("access review started", std::nullopt, me.name,
                         {{"review", std::to_string(id)},
                          {"scope", scope},
                          {"reviewers", core::join(names)},
                          {"items", std::to_string(items)}});
    return id;
}

bool may_review(const Person& person, std::int64_t id) {
    const auto roles =
        pg::query("SELECT role FROM jit_access.access_reviewer WHERE review_id = $1 ORDER BY role_name", {id});
    return std::any_of(roles.begin(), roles.end(),
                       [&](const pg::Row& row) { return principal::is_named(person, row.get<pg::RoleId>(0)); });
}

namespace {

struct Item {
    std::int64_t review = 0;
    std::int32_t number = 0;
    std::string kind;
    templates::Template of;
    std::optional<pg::RoleId> role;
    std::optional<std::string> role_name;
    std::optional<std::int64_t> grant;
    std::optional<std::string> reviewer;
};

Item lock(std::int64_t id, std::optional<std::int32_t> number) {
    if (!number) throw invalid("item", "It is NULL.", "Look at jit_access.access_review_items.");
    const auto row = pg::query_row(
        "SELECT kind, template_id, role, role_name, request_id, reviewer_name FROM jit_access.access_review_item WHERE "
        "review_id = $1 AND item = $2 FOR UPDATE",
        {id, *number});
    if (!row)
        throw Failure(Code::invalid_argument, named(id) + " has no item " + std::to_string(*number), {},
                      "Look at jit_access.access_review_items.");
    return {.review = id,
            .number = *number,
            .kind = row->get<std::string>(0),
            .of = templates::read(row->get<std::int64_t>(1)),
            .role = row->maybe<pg::RoleId>(2),
            .role_name = row->maybe<std::string>(3),
            .grant = row->maybe<std::int64_t>(4),
            .reviewer = row->maybe<std::string>(5)};
}

void require_reviewer(const Person& me, std::int64_t id) {
    if (may_review(me, id)) return;
    throw Failure(Code::not_permitted, "\"" + me.name + "\" does not review in " + named(id),
                  "Neither this login nor a role it belongs to is among its reviewers; being a superuser does not "
                  "count, nor a group that every login is in, nor one that comes with a grant.",
                  "An administrator can start another one with jit_start_review.");
}

// Who may have the template neither looks at it nor chooses, by taking the others away, who decides about him.
bool concerns(const Person& login, const Item& item, const ItemDecision& verdict) {
    if (item.kind == of_template || (item.kind == "approver" && verdict.word == "withdraw"))
        if (principal::may_request(login, item.of.id) || principal::may_break_glass(login, item.of.id)) return true;
    return item.role && (login.role == *item.role || principal::is_member_without_grant(login.role, *item.role));
}

// By none of his logins.
void refuse_own(const Person& me, const Item& item, const ItemDecision& verdict) {
    for (const auto& oid : principal::logins_of(principal::person_of(me))) {
        const pg::RoleId role{static_cast<std::uint32_t>(std::stoul(oid))};
        const Person login{role, pg::role_name(role).value_or("")};
        if (concerns(login, item, verdict))
            throw Failure(Code::own_request, "nobody reviews his own access",
                          "Item " + std::to_string(item.number) + " concerns \"" + login.name + "\".",
                          "Another reviewer has to look at it.");
    }
}

void check_verdict(const ItemDecision& verdict) {
    if (verdict.word != "confirm" && verdict.word != "withdraw")
        throw invalid("verdict", verdict.word ? "\"" + pg::excerpt(*verdict.word) + "\" is none." : "It is NULL.",
                      "Say confirm or withdraw.");
    request::check_text(verdict.comment, "comment");
    if (!verdict.comment) throw invalid("comment", "It is NULL.", "Say what you have looked at.");
}

// Only ever takes away. A template that nobody may ask for is as good as disabled; its approvers stay, who revoke and
// review.
void withdraw(const Item& item, const Person& me) {
    if (item.kind == of_template) {
        templates::remove_participants(item.of, "requester", std::nullopt, me.name);
        templates::remove_participants(item.of, "responder", std::nullopt, me.name);
    } else {
        templates::remove_participants(item.of, item.kind.c_str(), item.role, me.name);
    }
}

}  // namespace

std::string review(std::int64_t id, std::optional<std::int32_t> number, const ItemDecision& verdict,
                   const principal::Origin& origin) {
    const auto me = principal::caller();
    check_verdict(verdict);
    const Item item = lock(id, number);
    require_reviewer(me, id);
    refuse_own(me, item, verdict);
    if (item.reviewer)
        throw Failure(Code::wrong_state,
                      "item " + std::to_string(item.number) + " of " + named(id) + " has been reviewed",
                      "\"" + *item.reviewer + "\" did it.", "Look at jit_access.access_review_items.");
    principal::require_own_statement(me, origin, "an item of " + named(id) + " is reviewed");
    const bool confirmed = verdict.word == "confirm";
    // What it was decided by, before that changes it.
    pg::execute(
        "UPDATE jit_access.access_review_item SET verdict = $3, reviewer = $4, reviewer_name = $5, comment = $6, "
        "reviewed_at = pg_catalog.clock_timestamp(), evidence = jit_access.review_evidence(review_id, item) WHERE "
        "review_id = $1 AND item = $2",
        {id, item.number, *verdict.word, me.role, me.name, *verdict.comment});
    control_event::write("access reviewed", item.grant, me.name,
                         {{"review", std::to_string(id)},
                          {"item", std::to_string(item.number)},
                          {"kind", item.kind},
                          {"template", item.of.name},
                          {"role", item.role_name},
                          {"verdict", verdict.word},
                          {"comment", verdict.comment}});
    if (item.kind == of_break_glass)
        break_glass::review(*item.grant,
                            {.word = confirmed ? "justified" : "not_justified", .comment = verdict.comment}, origin);
    else if (!confirmed)
        withdraw(item, me);
    return *verdict.word;
}

std::string as_csv(std::int64_t id) {
    const auto me = principal::caller();
    if (!principal::may_audit(me.role)) require_reviewer(me, id);
    if (!pg::query_row("SELECT 1 FROM jit_access.access_review WHERE id = $1", {id}))
        throw Failure(Code::invalid_argument, named(id) + " does not exist", {}, "Look at jit_access.access_reviews.");
    std::string text = core::csv_line({"review", "item", "kind", "template", "role", "grant_id", "members", "grants",
                                       "grants_90_days", "last_grant", "last_use", "decisions_90_days", "last_decision",
                                       "evidence", "verdict", "reviewer", "comment", "reviewed_at", "due_at"});
    for (const auto& row : pg::query(
             "SELECT ARRAY[review_id::text, item::text, kind, template, role, grant_id::text, (SELECT string_agg(m, ', "
             "' "
             "ORDER BY m) FROM pg_catalog.jsonb_array_elements_text(evidence -> 'members') m), evidence ->> 'grants', "
             "evidence ->> 'grants_90_days', evidence ->> 'last_grant', evidence ->> 'last_use', evidence ->> "
             "'decisions_90_days', evidence ->> 'last_decision', evidence::text, verdict, reviewer, comment, "
             "jit_access.utc(reviewed_at), jit_access.utc(due_at)] FROM jit_access.access_review_items WHERE review_id "
             "= "
             "$1 ORDER BY item",
             {id}))
        text += core::csv_line(row.get<pg::TextArray>(0));
    return text;
}

// A job that runs once a day is now and then some minutes early.
std::int64_t remind() {
    principal::require_admin(principal::of_session());
    const auto overdue = pg::query(
        "UPDATE jit_access.access_review r SET reminded_at = pg_catalog.clock_timestamp() FROM "
        "jit_access.access_reviews v WHERE v.id = r.id AND v.overdue AND (r.reminded_at IS NULL OR r.reminded_at < "
        "pg_catalog.clock_timestamp() - interval '23 hours 50 minutes') RETURNING r.id, v.open, "
        "jit_access.utc(r.due_at)");
    for (const auto& row : overdue)
        control_event::write("review overdue", std::nullopt, task::actor,
                             {{"of", "access review"},
                              {"review", std::to_string(row.get<std::int64_t>(0))},
                              {"open", std::to_string(row.get<std::int64_t>(1))},
                              {"due", row.get<std::string>(2)}});
    return static_cast<std::int64_t>(overdue.size());
}

}  // namespace jit::access_review
