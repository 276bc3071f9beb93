#include "jit_access/rehearsal/scenario.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/grants/request.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/impersonation.hpp"
#include "jit_access/shared/control_event.hpp"

namespace jit::scenario {

using core::Code;
using core::Failure;
using core::invalid;

namespace {

const std::string& checked_name(const std::optional<std::string>& name) {
    if (!name) throw invalid("scenario name", "It is NULL.", "Name the scenario.");
    if (const auto fault = core::fault_in_template_name(*name)) throw invalid("scenario name", *fault);
    return *name;
}

pg::TextArray checked_expected(const ScenarioArguments& arguments) {
    constexpr std::array<std::string_view, 5> outcomes = {"allowed", "denied", "failed", "refused", "unknown"};
    const auto count = arguments.dry_run.statements->size();
    auto expected = arguments.expected.value_or(pg::TextArray(count, "allowed"));
    if (expected.size() != count)
        throw invalid(
            "expected",
            "There are " + std::to_string(expected.size()) + " outcomes for " + std::to_string(count) + " statements.",
            "Give one for each.");
    for (const auto& outcome : expected)
        if (std::find(outcomes.begin(), outcomes.end(), outcome) == outcomes.end())
            throw invalid("expected", "\"" + pg::excerpt(outcome) + "\" is not an outcome.",
                          "The outcomes are allowed, denied, failed, refused and unknown.");
    return expected;
}

Failure no_such_scenario(const std::string& name) {
    return {Code::invalid_argument,
            "scenario \"" + pg::excerpt(name) + "\" does not exist",
            {},
            "See jit_access.scenarios."};
}

// A row of jit_access.scenario.
struct Scenario {
    std::string name;
    dry_run::DryRunArguments dry_run;
    pg::TextArray expected;
    bool executes = false;
};

Scenario from_row(const pg::Row& row) {
    Scenario scenario{.name = row.get<std::string>(0), .expected = row.get<pg::TextArray>(6)};
    scenario.dry_run.template_name = row.get<std::string>(1);
    scenario.dry_run.person = row.maybe<std::string>(2);
    scenario.dry_run.mode = row.get<std::string>(3);
    scenario.dry_run.statements = row.get<pg::TextArray>(4);
    scenario.dry_run.search_path = row.maybe<std::string>(5);
    scenario.executes = *scenario.dry_run.mode == "execute";
    return scenario;
}

// All scenarios, or the one of that name, which has to exist.
std::vector<Scenario> find(const std::optional<std::string>& name) {
    std::vector<Scenario> scenarios;
    for (const auto& row : pg::query(R"sql(
             SELECT name, template, person, mode, statements, search_path, expected
             FROM jit_access.scenario
             WHERE $1 IS NULL OR name = $1
             ORDER BY name)sql",
                                     {pg::nullable(name)}))
        scenarios.push_back(from_row(row));
    if (name && scenarios.empty()) throw no_such_scenario(*name);
    return scenarios;
}

// A scenario that cannot be run at all, for example because its template was dropped, counts as failed.
std::vector<dry_run::Outcome> run_dry(const Scenario& scenario) {
    std::vector<dry_run::Outcome> outcomes;
    const auto fault = pg::attempt([&] { outcomes = dry_run::run_authorised(scenario.dry_run); });
    if (!fault) return outcomes;
    outcomes.clear();
    for (const auto& statement : *scenario.dry_run.statements)
        outcomes.push_back({.statement = statement,
                            .outcome = "failed",
                            .sqlstate = fault->sqlstate,
                            .message = "the dry run was not made: " + fault->message});
    return outcomes;
}

std::string describe_first_mismatch(const std::vector<Result>& results) {
    const auto mismatch = std::find_if(results.begin(), results.end(), [](const Result& result) { return !result.ok; });
    if (mismatch == results.end()) return {};
    std::string text = "statement " + std::to_string(mismatch->number) + " is " + mismatch->outcome.outcome + ", not " +
                       mismatch->expected;
    if (!mismatch->outcome.missing.empty()) text += ": " + core::join(mismatch->outcome.missing, ", ");
    return text;
}

// Stores the results. The event is written only when the outcome changes to failed, so that a job does not repeat it
// every night.
void store(const Scenario& scenario, const std::vector<Result>& results, const std::string& actor) {
    const bool ok = std::all_of(results.begin(), results.end(), [](const Result& result) { return result.ok; });
    pg::TextArray outcomes;
    pg::TextArray missing;
    pg::TextArray messages;
    for (const auto& result : results) {
        outcomes.push_back(result.outcome.outcome);
        missing.push_back(core::join(result.outcome.missing, ", "));
        messages.push_back(result.outcome.message.value_or(""));
    }
    const auto before = pg::query_row(
        "SELECT ok FROM jit_access.scenario_result WHERE scenario = $1 ORDER BY id DESC LIMIT 1", {scenario.name});
    pg::execute(
        R"sql(
        INSERT INTO jit_access.scenario_result (scenario, at, run_by, ok, expected, outcomes, missing, messages)
        VALUES ($1, pg_catalog.clock_timestamp(), $2, $3, $4, $5, $6, $7))sql",
        {scenario.name, actor, ok, scenario.expected, outcomes, missing, messages});
    const bool was_ok = !before || before->get<bool>(0);
    if (!ok && was_ok)
        control_event::write("scenario failed", std::nullopt, actor,
                             {{"scenario", scenario.name},
                              {"template", scenario.dry_run.template_name},
                              {"person", scenario.dry_run.person},
                              {"reason", describe_first_mismatch(results)}});
}

std::vector<Result> run_one(const Scenario& scenario, const std::string& actor) {
    std::vector<Result> results;
    const auto outcomes = run_dry(scenario);
    for (std::size_t i = 0; i < outcomes.size(); ++i)
        results.push_back({scenario.name, static_cast<std::int32_t>(i + 1), scenario.expected.at(i),
                           outcomes[i].outcome == scenario.expected.at(i), outcomes[i]});
    store(scenario, results, actor);
    return results;
}

// In TAP a line break would start a new line, and # a directive such as # SKIP.
std::string one_line(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '#'; }, ' ');
    return text;
}

}  // namespace

void set(const ScenarioArguments& arguments, const principal::Origin& origin) {
    const auto caller = principal::caller();
    principal::require_admin(caller);
    const auto& name = checked_name(arguments.name);
    request::check_text(arguments.description, "description");
    if (!arguments.dry_run.template_name) throw invalid("template", "It is NULL.", "Name the template that is tried.");
    dry_run::validate(arguments.dry_run);
    const auto expected = checked_expected(arguments);
    const auto mode = arguments.dry_run.mode.value_or("check");
    if (mode == "execute" && arguments.dry_run.person && !pg::is_superuser(caller.role))
        throw Failure(Code::not_permitted, "only a superuser executes a dry run as another person",
                      "It would use the privileges that \"" + *arguments.dry_run.person + "\" has without a grant.",
                      "Omit the person, or use mode => 'check'.");
    principal::require_own_statement(caller, origin, "scenario \"" + name + "\" is set");
    pg::execute(
        R"sql(
        INSERT INTO jit_access.scenario
            (name, description, template, person, mode, statements, expected, search_path, set_by, set_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, pg_catalog.clock_timestamp())
        ON CONFLICT (name) DO UPDATE
        SET description = excluded.description, template = excluded.template, person = excluded.person,
            mode = excluded.mode, statements = excluded.statements, expected = excluded.expected,
            search_path = excluded.search_path, set_by = excluded.set_by, set_at = excluded.set_at)sql",
        {name, pg::nullable(arguments.description), *arguments.dry_run.template_name,
         pg::nullable(arguments.dry_run.person), mode, *arguments.dry_run.statements, expected,
         pg::nullable(arguments.dry_run.search_path), caller.name});
    control_event::write("scenario set", std::nullopt, caller.name,
                         {{"scenario", name},
                          {"template", arguments.dry_run.template_name},
                          {"person", arguments.dry_run.person},
                          {"mode", mode},
                          {"statements", core::join(*arguments.dry_run.statements, "; ")},
                          {"expected", core::join(expected, ", ")}});
}

void drop(const std::optional<std::string>& name, const principal::Origin& origin) {
    const auto caller = principal::caller();
    principal::require_admin(caller);
    if (pg::execute("DELETE FROM jit_access.scenario WHERE name = $1", {checked_name(name)}) == 0)
        throw no_such_scenario(*name);
    principal::require_own_statement(caller, origin, "scenario \"" + *name + "\" is dropped");
    control_event::write("scenario dropped", std::nullopt, caller.name, {{"scenario", *name}});
}

std::vector<Result> run(const std::optional<std::string>& name, const principal::Origin& origin) {
    const auto caller = principal::caller();
    principal::require_auditor(caller);
    std::vector<Result> results;
    std::size_t skipped = 0;
    for (const auto& scenario : find(name)) {
        if (scenario.executes && !name && !principal::is_admin(caller)) {
            ++skipped;
            continue;
        }
        if (scenario.executes) {
            principal::require_admin(caller);
            principal::require_own_statement(caller, origin, "scenario \"" + scenario.name + "\" is executed");
        }
        const auto added = run_one(scenario, caller.name);
        results.insert(results.end(), added.begin(), added.end());
    }
    if (skipped > 0)
        pg::notice(std::to_string(skipped) + " scenarios were left out: they execute", "Ask an administrator.");
    return results;
}

std::string run_all(const principal::Origin& origin) {
    const bool is_job = !pg::is_client_statement();
    if (!is_job) principal::require_admin(principal::caller());
    std::map<std::string, bool> is_ok;
    for (const auto& scenario : find(std::nullopt)) {
        if (scenario.executes && !is_job)
            principal::require_own_statement(principal::caller(), origin,
                                             "scenario \"" + scenario.name + "\" is executed");
        const auto results = run_one(scenario, is_job ? "jit_access" : principal::caller().name);
        is_ok[scenario.name] =
            std::all_of(results.begin(), results.end(), [](const Result& result) { return result.ok; });
    }
    pg::TextArray failed;
    for (const auto& [name, ok] : is_ok)
        if (!ok) failed.push_back(name);
    return std::to_string(is_ok.size()) + " scenarios, " + std::to_string(failed.size()) + " failed" +
           (failed.empty() ? "" : ": " + core::join(failed, ", "));
}

std::vector<std::string> as_tap(const std::vector<Result>& results) {
    std::vector<std::string> lines{"1.." + std::to_string(results.size())};
    for (std::size_t i = 0; i < results.size(); ++i) {
        const auto& result = results[i];
        lines.push_back((result.ok ? "ok " : "not ok ") + std::to_string(i + 1) + " - " + result.scenario + " " +
                        std::to_string(result.number) + ": " + one_line(result.outcome.statement));
        if (result.ok) continue;
        lines.push_back("# is " + result.outcome.outcome + ", not " + result.expected);
        if (!result.outcome.missing.empty())
            lines.push_back("# missing: " + one_line(core::join(result.outcome.missing, ", ")));
        if (result.outcome.message) lines.push_back("# " + one_line(*result.outcome.message));
    }
    return lines;
}

}  // namespace jit::scenario
