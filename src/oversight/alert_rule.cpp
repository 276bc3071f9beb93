#include "jit_access/oversight/alert_rule.hpp"

#include <array>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/policy/template.hpp"
#include "jit_access/policy/template_settings.hpp"
#include "jit_access/shared/control_event.hpp"

namespace jit::alert_rule {

using core::invalid;

namespace {

constexpr const char* all_sql = R"sql(
    SELECT name, severity, threshold, within, enabled, suspends, may_suspend
    FROM jit_access.alert_rule)sql";

constexpr const char* one_sql = R"sql(
    SELECT name, severity, threshold, within, enabled, suspends, may_suspend
    FROM jit_access.alert_rule
    WHERE name = $1)sql";

constexpr const char* lock_sql = R"sql(
    SELECT name, severity, threshold, within, enabled, suspends, may_suspend
    FROM jit_access.alert_rule
    WHERE name = $1
    FOR UPDATE)sql";

Rule from_row(const pg::Row& row) {
    return {.name = row.get<std::string>(0),
            .severity = row.get<std::string>(1),
            .threshold = row.maybe<std::int32_t>(2),
            .within = row.maybe<pg::Duration>(3).value_or(pg::Duration{}).us,
            .enabled = row.get<bool>(4),
            .suspends = row.get<bool>(5)};
}

}  // namespace

Rules all() {
    Rules rules;
    for (const auto& row : pg::query(all_sql)) {
        auto rule = from_row(row);
        rules.emplace(rule.name, std::move(rule));
    }
    return rules;
}

Rule find(std::string_view name) {
    const auto row = pg::query_row(one_sql, {std::string(name)});
    return row ? from_row(*row) : Rule{.name = std::string(name)};
}

namespace {

constexpr std::int64_t max_within = 366LL * 24 * 3'600'000'000;
constexpr std::int32_t max_counted = 1000;  // each occurrence is a row of jit_access.occurrence
constexpr std::int32_t max_threshold = 1'000'000'000;

void check_severity(const std::string& severity) {
    constexpr std::array severities{"low", "medium", "high"};
    for (const auto* name : severities)
        if (severity == name) return;
    throw invalid("severity", "\"" + pg::excerpt(severity) + "\" is not a severity.",
                  "Allowed values are low, medium and high.");
}

void check_threshold(const Rule& rule, std::int32_t threshold) {
    if (!rule.threshold)
        throw invalid("threshold", "Rule \"" + rule.name + "\" has no threshold: each occurrence raises an alert.",
                      "Omit the argument.");
    const auto max = rule.within != 0 ? max_counted : max_threshold;
    if (threshold >= 1 && threshold <= max) return;
    throw invalid("threshold", std::to_string(threshold) + " is not between 1 and " + std::to_string(max) + ".",
                  "Its unit is described in jit_access.alert_rules.");
}

std::int64_t checked_within(const Rule& rule, const core::IntervalParts& within) {
    if (rule.within == 0)
        throw invalid("within", "Rule \"" + rule.name + "\" does not look back in time.", "Omit the argument.");
    const auto us = templates::checked_duration(within, "within");
    if (us > max_within)
        throw invalid("within", core::format_duration(us) + " is more than 366 days.", "Give a shorter time.");
    return us;
}

void check_suspends(const Rule& rule, bool may_suspend) {
    if (may_suspend) return;
    throw invalid("suspends",
                  "The evidence of rule \"" + rule.name + "\" can come from others than the holder of the grant.",
                  "See the column may_suspend of jit_access.alert_rules.");
}

std::string to_text(bool value) { return value ? "true" : "false"; }

// Adds "old -> new" if the setting changes.
void add_change(control_event::Detail& detail, const char* setting, const std::string& before,
                const std::string& after) {
    if (before != after) detail.emplace_back(setting, before + " -> " + after);
}

}  // namespace

void set(const std::optional<std::string>& name, const Change& change, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    if (!name) throw invalid("rule name", "It is NULL.", "See jit_access.alert_rules.");
    const auto row = pg::query_row(lock_sql, {*name});
    if (!row)
        throw invalid("rule name", "There is no rule \"" + pg::excerpt(*name) + "\".", "See jit_access.alert_rules.");
    const auto before = from_row(*row);
    auto after = before;
    if (change.severity) check_severity(after.severity = *change.severity);
    if (change.threshold) check_threshold(before, *change.threshold), after.threshold = change.threshold;
    if (change.within) after.within = checked_within(before, *change.within);
    if (change.suspends.value_or(false)) check_suspends(before, row->get<bool>(6));
    after.enabled = change.enabled.value_or(before.enabled);
    after.suspends = change.suspends.value_or(before.suspends);
    control_event::Detail detail{{"rule", *name}};
    add_change(detail, "enabled", to_text(before.enabled), to_text(after.enabled));
    add_change(detail, "severity", before.severity, after.severity);
    if (after.threshold)
        add_change(detail, "threshold", std::to_string(*before.threshold), std::to_string(*after.threshold));
    add_change(detail, "within", core::format_duration(before.within), core::format_duration(after.within));
    add_change(detail, "suspends", to_text(before.suspends), to_text(after.suspends));
    if (detail.size() == 1)
        throw invalid("change", "Rule \"" + *name + "\" already has these settings.", "Give a setting that differs.");
    principal::require_own_statement(me, origin, "alert rule \"" + *name + "\" is changed");
    pg::execute(
        R"sql(
        UPDATE jit_access.alert_rule
        SET enabled = $2, severity = $3, threshold = $4, within = $5, suspends = $6,
            changed_at = pg_catalog.clock_timestamp(), changed_by = $7
        WHERE name = $1)sql",
        {*name, after.enabled, after.severity, pg::nullable(after.threshold),
         pg::nullable_duration(after.within != 0 ? std::optional(after.within) : std::nullopt), after.suspends,
         me.name});
    control_event::write("alert rule changed", std::nullopt, me.name, detail);
}

}  // namespace jit::alert_rule
