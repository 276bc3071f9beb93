#include "jit_access/oversight/access_review.hpp"

#include <algorithm>
#include <array>

#include "jit_access/core/csv.hpp"
#include "jit_access/core/duration.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/enforcement/denied_attempt.hpp"
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

constexpr std::int64_t max_due = 366 * core::us_per_day;
constexpr const char* template_item = "template";
constexpr const char* break_glass_item = "break-glass";

std::string name_of(std::int64_t id) { return "access review " + std::to_string(id); }

const std::string& checked_scope(const std::optional<std::string>& scope) {
    constexpr std::array<std::string_view, 4> scopes{"all", "eligibility", "templates", "break-glass"};
    if (!scope || std::find(scopes.begin(), scopes.end(), *scope) == scopes.end())
        throw invalid("scope", scope ? "\"" + pg::excerpt(*scope) + "\" is not a scope." : "It is NULL.",
                      "Allowed values are all, eligibility, templates and break-glass.");
    return *scope;
}

std::vector<Person> checked_reviewers(const std::optional<pg::TextArray>& names) {
    auto reviewers = principal::roles_by_name(names.value_or(pg::TextArray{}), "reviewers");
    if (reviewers.empty()) throw invalid("reviewers", "There is none.", "Name the roles whose members review.");
    if (reviewers.size() > principal::max_roles)
        throw invalid("reviewers",
                      "There are " + std::to_string(reviewers.size()) + " of them; at most 64 are possible.",
                      "Name a group role.");
    return reviewers;
}

pg::Instant checked_due(const std::optional<pg::Instant>& due) {
    if (!due) throw invalid("due", "It is NULL.", "Give the time by which the review has to be completed.");
    const auto now = pg::wall_clock();
    // Also refuses infinity, which is the largest value of a timestamp.
    if (due->us <= now || due->us > now + max_due)
        throw invalid("due", "It is not within the next 366 days.", "Give an earlier time in the future.");
    return *due;
}

// Dropped templates give no access, and the template of the drill gives none to people, so there are no items for them.
std::int64_t insert_items(std::int64_t id, const std::string& scope, const std::optional<pg::TextArray>& templates) {
    const auto items = pg::execute(
        R"sql(
        INSERT INTO jit_access.access_review_item (review_id, item, kind, template_id, role, role_name, request_id)
        SELECT $1, row_number() OVER (ORDER BY t.name, k.place, k.role_name, k.request_id), k.kind, k.template_id,
               k.role, k.role_name, k.request_id
        FROM (SELECT part AS kind, CASE part WHEN 'requester' THEN 2 WHEN 'approver' THEN 3 ELSE 4 END AS place,
                     template_id, role, role_name, NULL::bigint AS request_id
              FROM jit_access.template_person
              WHERE $2 IN ('all', 'eligibility')
              UNION ALL
              SELECT 'template', 1, id, NULL, NULL, NULL
              FROM jit_access.template
              WHERE $2 IN ('all', 'templates')
              UNION ALL
              SELECT 'break-glass', 5, r.template_id, r.requester, r.requester_name, r.id
              FROM jit_access.review v
              JOIN jit_access.request r ON r.id = v.request_id
              WHERE v.reviewed_at IS NULL AND $2 IN ('all', 'break-glass')) k
        JOIN jit_access.template t ON t.id = k.template_id
        WHERE t.dropped_at IS NULL AND t.name <> $3 AND ($4 IS NULL OR t.name = ANY ($4)))sql",
        {id, scope, std::string(core::drill_template), pg::nullable(templates)});
    pg::execute(R"sql(
        UPDATE jit_access.access_review_item
        SET evidence = jit_access.review_evidence(review_id, item)
        WHERE review_id = $1)sql",
                {id});
    return static_cast<std::int64_t>(items);
}

}  // namespace

std::int64_t start(const ReviewArguments& arguments, const principal::Origin& origin) {
    const auto caller = principal::caller();
    principal::require_admin(caller);
    const auto& scope = checked_scope(arguments.scope);
    const auto reviewers = checked_reviewers(arguments.reviewers);
    const auto due = checked_due(arguments.due);
    for (const auto& name : arguments.templates.value_or(pg::TextArray{})) (void)templates::read(name);
    principal::require_own_statement(caller, origin, "an access review is started");
    const auto id = pg::query_row(R"sql(
        INSERT INTO jit_access.access_review (scope, started_at, started_by, due_at)
        VALUES ($1, pg_catalog.clock_timestamp(), $2, $3)
        RETURNING id)sql",
                                  {scope, caller.name, due})
                        .value()
                        .get<std::int64_t>(0);
    pg::TextArray names;
    for (const auto& reviewer : reviewers) {
        pg::execute("INSERT INTO jit_access.access_reviewer (review_id, role, role_name) VALUES ($1, $2, $3)",
                    {id, reviewer.role, reviewer.name});
        names.push_back(reviewer.name);
    }
    const auto items = insert_items(id, scope, arguments.templates);
    if (items == 0)
        throw Failure(Code::wrong_state, "there is nothing to review", "No access is in this scope.",
                      "Choose another scope or other templates.");
    control_event::write("access review started", std::nullopt, caller.name,
                         {{"review", std::to_string(id)},
                          {"scope", scope},
                          {"reviewers", core::join(names)},
                          {"items", std::to_string(items)}});
    return id;
}

bool may_review(const Person& person, std::int64_t id) {
    const auto roles =
        pg::query("SELECT role FROM jit_access.access_reviewer WHERE review_id = $1 ORDER BY role_name", {id});
    return std::any_of(roles.begin(), roles.end(), [&](const pg::Row& row) {
        return principal::is_listed_through(person, row.get<pg::RoleId>(0));
    });
}

namespace {

struct Item {
    std::int64_t review = 0;
    std::int32_t number = 0;
    std::string kind;
    templates::Template tmpl;
    std::optional<pg::RoleId> role;
    std::optional<std::string> role_name;
    std::optional<std::int64_t> grant;
    std::optional<std::string> reviewer;
};

Item lock(std::int64_t id, std::optional<std::int32_t> number) {
    if (!number) throw invalid("item", "It is NULL.", "See jit_access.access_review_items.");
    const auto row = pg::query_row(R"sql(
        SELECT kind, template_id, role, role_name, request_id, reviewer_name
        FROM jit_access.access_review_item
        WHERE review_id = $1 AND item = $2
        FOR UPDATE)sql",
                                   {id, *number});
    if (!row)
        throw Failure(Code::invalid_argument, name_of(id) + " has no item " + std::to_string(*number), {},
                      "See jit_access.access_review_items.");
    return {.review = id,
            .number = *number,
            .kind = row->get<std::string>(0),
            .tmpl = templates::read(row->get<std::int64_t>(1)),
            .role = row->maybe<pg::RoleId>(2),
            .role_name = row->maybe<std::string>(3),
            .grant = row->maybe<std::int64_t>(4),
            .reviewer = row->maybe<std::string>(5)};
}

void require_reviewer(const Person& caller, std::int64_t id) {
    if (may_review(caller, id)) return;
    throw Failure(Code::not_permitted, "\"" + caller.name + "\" does not review in " + name_of(id),
                  "Neither this login nor a role it belongs to is among its reviewers; being a superuser does not "
                  "count, nor a group that every login is in, nor one that comes with a grant.",
                  "An administrator can start another review with jit_start_review.");
}

// Requesters and responders may not review their own template. They may not withdraw its approvers either, which would
// let them choose who decides about them.
bool concerns(const Person& login, const Item& item, const ItemDecision& decision) {
    if (item.kind == template_item || (item.kind == "approver" && decision.verdict == "withdraw"))
        if (principal::may_request(login, item.tmpl.id) || principal::may_break_glass(login, item.tmpl.id)) return true;
    return item.role && (login.role == *item.role || principal::is_member_without_grant(login.role, *item.role));
}

// All logins of the reviewer are compared, not only the one of the session.
void require_not_concerned(const Person& caller, const Item& item, const ItemDecision& decision) {
    for (const auto& oid : principal::logins_of(principal::person_of(caller))) {
        const pg::RoleId role{static_cast<std::uint32_t>(std::stoul(oid))};
        const Person login{role, pg::role_name(role).value_or("")};
        if (concerns(login, item, decision))
            denied_attempt::record_and_throw(
                {Code::own_request, "users cannot review their own access",
                 "Item " + std::to_string(item.number) + " concerns \"" + login.name + "\".",
                 "Another reviewer has to decide it."});
    }
}

void check_decision(const ItemDecision& decision) {
    if (decision.verdict != "confirm" && decision.verdict != "withdraw")
        throw invalid("verdict",
                      decision.verdict ? "\"" + pg::excerpt(*decision.verdict) + "\" is not a verdict." : "It is NULL.",
                      "Allowed values are confirm and withdraw.");
    request::check_text(decision.comment, "comment");
    if (!decision.comment) throw invalid("comment", "It is NULL.", "Describe what you have examined.");
}

// A template is withdrawn by removing its requesters and responders. Its approvers remain, so that they can revoke and
// review existing grants.
void withdraw(const Item& item, const Person& caller) {
    if (item.kind == template_item) {
        templates::remove_participants(item.tmpl, "requester", std::nullopt, caller.name);
        templates::remove_participants(item.tmpl, "responder", std::nullopt, caller.name);
    } else {
        templates::remove_participants(item.tmpl, item.kind.c_str(), item.role, caller.name);
    }
}

}  // namespace

std::string review(std::int64_t id, std::optional<std::int32_t> number, const ItemDecision& decision,
                   const principal::Origin& origin) {
    const auto caller = principal::caller();
    check_decision(decision);
    require_reviewer(caller, id);  // before the item is looked at, so that reviews and items cannot be probed
    const Item item = lock(id, number);
    require_not_concerned(caller, item, decision);
    if (item.reviewer)
        throw Failure(Code::wrong_state,
                      "item " + std::to_string(item.number) + " of " + name_of(id) + " has been reviewed",
                      "\"" + *item.reviewer + "\" did it.", "See jit_access.access_review_items.");
    principal::require_own_statement(caller, origin, "an item of " + name_of(id) + " is reviewed");
    const bool is_confirmed = decision.verdict == "confirm";
    // Stores the evidence of this moment, before the decision changes it.
    pg::execute(
        R"sql(
        UPDATE jit_access.access_review_item
        SET verdict = $3, reviewer = $4, reviewer_name = $5, comment = $6, reviewed_at = pg_catalog.clock_timestamp(),
            evidence = jit_access.review_evidence(review_id, item)
        WHERE review_id = $1 AND item = $2)sql",
        {id, item.number, *decision.verdict, caller.role, caller.name, *decision.comment});
    control_event::write("access reviewed", item.grant, caller.name,
                         {{"review", std::to_string(id)},
                          {"item", std::to_string(item.number)},
                          {"kind", item.kind},
                          {"template", item.tmpl.name},
                          {"role", item.role_name},
                          {"verdict", decision.verdict},
                          {"comment", decision.comment}});
    if (item.kind == break_glass_item)
        break_glass::review_item(*item.grant,
                                 {.verdict = is_confirmed ? "justified" : "not_justified", .comment = decision.comment},
                                 origin);
    else if (!is_confirmed)
        withdraw(item, caller);
    return *decision.verdict;
}

std::string as_csv(std::int64_t id) {
    const auto caller = principal::caller();
    if (!principal::may_audit(caller.role)) require_reviewer(caller, id);
    if (!pg::query_row("SELECT 1 FROM jit_access.access_review WHERE id = $1", {id}))
        throw Failure(Code::invalid_argument, name_of(id) + " does not exist", {}, "See jit_access.access_reviews.");
    std::string text = core::csv_line({"review", "item", "kind", "template", "role", "grant_id", "members", "grants",
                                       "grants_90_days", "last_grant", "last_use", "decisions_90_days", "last_decision",
                                       "evidence", "verdict", "reviewer", "comment", "reviewed_at", "due_at"});
    for (const auto& row : pg::query(R"sql(
             SELECT ARRAY[
                 review_id::text, item::text, kind, template, role, grant_id::text,
                 (SELECT string_agg(m, ', ' ORDER BY m)
                  FROM pg_catalog.jsonb_array_elements_text(evidence -> 'members') m),
                 evidence ->> 'grants', evidence ->> 'grants_90_days', evidence ->> 'last_grant',
                 evidence ->> 'last_use', evidence ->> 'decisions_90_days', evidence ->> 'last_decision',
                 evidence::text, verdict, reviewer, comment, jit_access.utc(reviewed_at), jit_access.utc(due_at)]
             FROM jit_access.access_review_items
             WHERE review_id = $1
             ORDER BY item)sql",
                                     {id}))
        text += core::csv_line(row.get<pg::TextArray>(0));
    return text;
}

std::int64_t remind_overdue() {
    principal::require_admin(principal::session_person());
    // The interval is ten minutes less than a day, because a daily job may start a little earlier than on the day
    // before.
    const auto overdue = pg::query(R"sql(
        UPDATE jit_access.access_review r
        SET reminded_at = pg_catalog.clock_timestamp()
        FROM jit_access.access_reviews v
        WHERE v.id = r.id AND v.overdue
          AND (r.reminded_at IS NULL
               OR r.reminded_at < pg_catalog.clock_timestamp() - interval '23 hours 50 minutes')
        RETURNING r.id, v.open, jit_access.utc(r.due_at))sql");
    for (const auto& row : overdue)
        control_event::write("review overdue", std::nullopt, task::actor,
                             {{"of", "access review"},
                              {"review", std::to_string(row.get<std::int64_t>(0))},
                              {"open", std::to_string(row.get<std::int64_t>(1))},
                              {"due", row.get<std::string>(2)}});
    return static_cast<std::int64_t>(overdue.size());
}

}  // namespace jit::access_review
