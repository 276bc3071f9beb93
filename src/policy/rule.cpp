#include "jit_access/policy/rule.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/core/policy.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/policy/template.hpp"
#include "jit_access/policy/template_settings.hpp"
#include "jit_access/policy/window.hpp"
#include "jit_access/shared/control_event.hpp"

namespace jit::rule {

using core::invalid;

namespace {

const std::string& checked_name(const std::optional<std::string>& name) {
    if (!name) throw invalid("rule name", "It is NULL.", "Name the rule.");
    if (const auto fault = core::fault_in_template_name(*name)) throw invalid("rule name", *fault);
    return *name;
}

// Templates are stored by id, so that an older rule does not apply to a template that was dropped and created again.
// The lock on each template keeps it from being dropped until the rule is stored.
pg::TextArray template_ids(const pg::TextArray& names) {
    pg::TextArray ids;
    for (const auto& name : names) ids.push_back(std::to_string(templates::lock(name).id));
    return ids;
}

// An allow rule that names neither templates nor a role would apply to every template, including templates that do not
// exist yet.
void check_reach(const RuleArguments& arguments) {
    if (arguments.effect != "allow" || !arguments.templates.empty() || arguments.role) return;
    throw invalid("rule", "It allows every template to everybody who may request it.",
                  "Name the templates or the role that it is meant for.");
}

void check_networks(const pg::TextArray& networks) {
    for (const auto& network : networks) {
        try {
            pg::query("SELECT $1::pg_catalog.cidr", {network});
        } catch (const pg::ServerError&) {  // the handler throws, which aborts the transaction of the failed query
            throw invalid("networks", "\"" + pg::excerpt(network) + "\" is not a network.",
                          "Write it like 10.1.0.0/16 or 2001:db8::/32.");
        }
    }
}

void check_keywords(const RuleArguments& arguments) {
    if (arguments.effect != "allow" && arguments.effect != "deny")
        throw invalid("effect",
                      arguments.effect ? "\"" + pg::excerpt(*arguments.effect) + "\" is not valid." : "It is NULL.",
                      "Use allow or deny.");
    if (arguments.max_risk && !core::risk_from(*arguments.max_risk))
        throw invalid("max_risk", "\"" + pg::excerpt(*arguments.max_risk) + "\" is not valid.",
                      "Use low, medium or high.");
}

// If a template has privileges that only a superuser may put into a template, only a superuser may define a rule that
// gives it without an approval. A rule for all templates does not apply to such a template; see ruling.cpp.
void require_right_to_lift_approvals(const RuleArguments& arguments, const principal::Person& me) {
    if (arguments.effect == "deny" || pg::is_superuser(me.role)) return;
    const auto row = pg::query_row(R"sql(
        SELECT name
        FROM jit_access.template
        WHERE name = ANY ($1) AND dropped_at IS NULL AND superuser_only <> '{}'
        LIMIT 1
    )sql",
                                   {arguments.templates});
    if (!row) return;
    throw core::Failure(core::Code::not_permitted,
                        "only a superuser can lift the approval from template \"" + row->get<std::string>(0) + "\"",
                        "It gives what only a superuser may put into a template.", "Ask a superuser.");
}

}  // namespace

void create(const RuleArguments& arguments, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto& name = checked_name(arguments.name);
    check_keywords(arguments);
    check_reach(arguments);
    if (pg::query_row("SELECT 1 FROM jit_access.rule WHERE name = $1", {name}))
        throw invalid("rule name", "Rule \"" + name + "\" exists already.", "Drop it first, with jit_drop_rule.");
    std::optional<std::int64_t> max_duration;
    if (arguments.max_duration) max_duration = templates::checked_duration(*arguments.max_duration, "max_duration");
    std::optional<pg::RoleId> role;
    if (arguments.role) role = principal::roles_by_name({*arguments.role}, "role").front().role;
    const auto ids = template_ids(arguments.templates);
    require_right_to_lift_approvals(arguments, me);
    check_networks(arguments.networks);
    window::check_names(arguments.windows);
    principal::require_own_statement(me, origin, "rule \"" + name + "\" is made");

    // The primary key prevents two rules with one name; the check above only gives a better message.
    pg::execute(R"sql(
        INSERT INTO jit_access.rule
            (name, effect, templates, template_names, role, role_name,
             max_duration, max_risk, networks, windows, created_by, defined_by_superuser, created_at)
        VALUES ($1, $2, $3::bigint[], $4, $5, $6,
                $7, $8, $9::pg_catalog.cidr[], $10, $11, $12, pg_catalog.clock_timestamp())
    )sql",
                {name, *arguments.effect, ids, arguments.templates, pg::nullable(role), pg::nullable(arguments.role),
                 pg::nullable_duration(max_duration), pg::nullable(arguments.max_risk), arguments.networks,
                 arguments.windows, me.name, pg::is_superuser(me.role)});
    control_event::write(
        "rule created", std::nullopt, me.name,
        {{"rule", name},
         {"effect", arguments.effect},
         {"templates", core::join(arguments.templates)},
         {"role", arguments.role},
         {"max_duration", max_duration ? std::optional(core::format_duration(*max_duration)) : std::nullopt},
         {"max_risk", arguments.max_risk},
         {"networks", core::join(arguments.networks)},
         {"windows", core::join(arguments.windows)}});
}

void drop(const std::optional<std::string>& name, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto& rule_name = checked_name(name);
    principal::require_own_statement(me, origin, "rule \"" + rule_name + "\" is dropped");
    // The row lock taken by DELETE is enough: if a request has already read the rule, that rule may still decide it.
    if (pg::execute("DELETE FROM jit_access.rule WHERE name = $1", {rule_name}) == 0)
        throw invalid("rule name", "There is no rule \"" + rule_name + "\".", "Look at jit_access.rules.");
    control_event::write("rule dropped", std::nullopt, me.name, {{"rule", rule_name}});
}

}  // namespace jit::rule
