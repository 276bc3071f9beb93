#include "jit_access/policy/rule.hpp"
#include "jit_access/policy/template_settings.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/core/policy.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/policy/template.hpp"
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

pg::TextArray ids_of(const pg::TextArray& names) {
    pg::TextArray ids;
    for (const auto& name : names) ids.push_back(std::to_string(templates::lock(name).id));
    return ids;
}

void check_networks(const pg::TextArray& networks) {
    for (const auto& network : networks) {
        try {
            pg::query("SELECT $1::pg_catalog.cidr", {network});
        } catch (const pg::ServerError&) {  // the caller throws, so the failed query ends with its transaction
            throw invalid("networks", "\"" + pg::excerpt(network) + "\" is not a network.",
                          "Write it like 10.1.0.0/16 or 2001:db8::/32.");
        }
    }
}

void check_words(const RuleArguments& draft) {
    if (draft.effect != "allow" && draft.effect != "deny")
        throw invalid("effect", draft.effect ? "\"" + pg::excerpt(*draft.effect) + "\" is none." : "It is NULL.",
                      "Say allow or deny.");
    if (draft.max_risk && !core::risk_from(*draft.max_risk))
        throw invalid("max_risk", "\"" + pg::excerpt(*draft.max_risk) + "\" is none.", "Say low, medium or high.");
}

}  // namespace

void create(const RuleArguments& draft, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto& name = checked_name(draft.name);
    check_words(draft);
    if (pg::query_row("SELECT 1 FROM jit_access.rule WHERE name = $1", {name}))
        throw invalid("rule name", "Rule \"" + name + "\" exists already.", "Drop it first, with jit_drop_rule.");
    std::optional<std::int64_t> longest;
    if (draft.max_duration) longest = templates::checked_duration(*draft.max_duration, "max_duration");
    std::optional<pg::RoleId> role;
    if (draft.role) role = principal::roles_by_name({*draft.role}, "role").front().role;
    const auto ids = ids_of(draft.templates);
    check_networks(draft.networks);
    window::check_names(draft.windows);
    principal::require_own_statement(me, origin, "rule \"" + name + "\" is made");
    pg::execute(
        "INSERT INTO jit_access.rule (name, effect, templates, template_names, role, role_name, max_duration, "
        "max_risk, networks, windows, created_by, created_at) VALUES ($1, $2, $3::bigint[], $4, $5, $6, $7, $8, "
        "$9::pg_catalog.cidr[], $10, $11, pg_catalog.clock_timestamp())",
        {name, *draft.effect, ids, draft.templates, pg::nullable(role), pg::nullable(draft.role),
         pg::nullable_duration(longest), pg::nullable(draft.max_risk), draft.networks, draft.windows, me.name});
    control_event::write("rule created", std::nullopt, me.name,
                         {{"rule", name},
                          {"effect", draft.effect},
                          {"templates", core::join(draft.templates)},
                          {"role", draft.role},
                          {"max_duration", longest ? std::optional(core::format_duration(*longest)) : std::nullopt},
                          {"max_risk", draft.max_risk},
                          {"networks", core::join(draft.networks)},
                          {"windows", core::join(draft.windows)}});
}

void drop(const std::optional<std::string>& name, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto& gone = checked_name(name);
    principal::require_own_statement(me, origin, "rule \"" + gone + "\" is dropped");
    if (pg::execute("DELETE FROM jit_access.rule WHERE name = $1", {gone}) == 0)
        throw invalid("rule name", "There is no rule \"" + gone + "\".", "Look at jit_access.rules.");
    control_event::write("rule dropped", std::nullopt, me.name, {{"rule", gone}});
}

}  // namespace jit::rule
