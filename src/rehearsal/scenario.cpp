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

pg::TextArray checked_expectations(const ScenarioArguments& draft) {
    constexpr std::array<std::string_view, 5> outcomes = {"allowed", "denied", "failed", "refused", "unknown"};
    const auto count = draft.asked.statements->size();
    auto expected = draft.expected.value_or(pg::TextArray(count, "allowed"));
    if (expected.size() != count)
        throw invalid(
            "expected",
            "There are " + std::to_string(expected.size()) + " outcomes for " + std::to_string(count) + " statements.",
            "Give one for each.");
    for (const auto& one : expected)
        if (std::find(outcomes.begin(), outcomes.end(), one) == outcomes.end())
            throw invalid("expected", "\"" + pg::excerpt(one) + "\" is no outcome.",
                          "The outcomes are allowed, denied, failed, refused and unknown.");
    return expected;
}

Failure unknown(const std::string& name) {
    return {Code::invalid_argument,
            "scenario \"" + pg::excerpt(name) + "\" does not exist",
            {},
            "Look at jit_access.scenarios."};
}

struct Kept {
    std::string name;
    dry_run::DryRunArguments asked;
    pg::TextArray expected;
    bool executes = false;
};

Kept from_row(const pg::Row& row) {
    Kept kept{.name = row.get<std::string>(0), .expected = row.get<pg::TextArray>(6)};
    kept.asked.template_name = row.get<std::string>(1);
    kept.asked.person = row.maybe<std::string>(2);
    kept.asked.mode = row.get<std::string>(3);
    kept.asked.statements = row.get<pg::TextArray>(4);
    kept.asked.search_path = row.maybe<std::string>(5);
    kept.executes = *kept.asked.mode == "execute";
    return kept;
}

std::vector<Kept> named(const std::optional<std::string>& name) {
    std::vector<Kept> found;
    for (const auto& row :
         pg::query("SELECT name, template, person, mode, statements, search_path, expected FROM jit_access.scenario "
                   "WHERE $1 IS NULL OR name = $1 ORDER BY name",
                   {pg::nullable(name)}))
        found.push_back(from_row(row));
    if (name && found.empty()) throw unknown(*name);
    return found;
}

// A scenario that cannot be run, its template gone, has failed.
std::vector<dry_run::Outcome> outcomes_of(const Kept& kept) {
    std::vector<dry_run::Outcome> outcomes;
    const auto fault = pg::attempt([&] { outcomes = dry_run::repeat(kept.asked); });
    if (!fault) return outcomes;
    outcomes.clear();
    for (const auto& statement : *kept.asked.statements)
        outcomes.push_back({.statement = statement,
                            .outcome = "failed",
                            .sqlstate = fault->sqlstate,
                            .message = "the dry run was not made: " + fault->message});
    return outcomes;
}

std::string first_fault(const std::vector<Result>& results) {
    const auto bad = std::find_if(results.begin(), results.end(), [](const Result& one) { return !one.ok; });
    if (bad == results.end()) return {};
    std::string what =
        "statement " + std::to_string(bad->number) + " is " + bad->got.outcome + ", not " + bad->expected;
    if (!bad->got.missing.empty()) what += ": " + core::join(bad->got.missing, ", ");
    return what;
}

void keep(const Kept& kept, const std::vector<Result>& results, const std::string& actor) {
    const bool ok = std::all_of(results.begin(), results.end(), [](const Result& one) { return one.ok; });
    pg::TextArray outcomes;
    pg::TextArray missing;
    pg::TextArray messages;
    for (const auto& one : results) {
        outcomes.push_back(one.got.outcome);
        missing.push_back(core::join(one.got.missing, ", "));
        messages.push_back(one.got.message.value_or(""));
    }
    const auto before = pg::query_row(
        "SELECT ok FROM jit_access.scenario_result WHERE scenario = $1 ORDER BY id DESC LIMIT 1", {kept.name});
    pg::execute(
        "INSERT INTO jit_access.scenario_result (scenario, at, run_by, ok, expected, outcomes, missing, messages) "
        "VALUES ($1, pg_catalog.clock_timestamp(), $2, $3, $4, $5, $6, $7)",
        {kept.name, actor, ok, kept.expected, outcomes, missing, messages});
    const bool was_ok = !before || before->get<bool>(0);
    if (!ok && was_ok)
        control_event::write("scenario failed", std::nullopt, actor,
                             {{"scenario", kept.name},
                              {"template", kept.asked.template_name},
                              {"person", kept.asked.person},
                              {"reason", first_fault(results)}});
}

std::vector<Result> run_one(const Kept& kept, const std::string& actor) {
    std::vector<Result> results;
    const auto outcomes = outcomes_of(kept);
    for (std::size_t i = 0; i < outcomes.size(); ++i)
        results.push_back({kept.name, static_cast<std::int32_t>(i + 1), kept.expected.at(i),
                           outcomes[i].outcome == kept.expected.at(i), outcomes[i]});
    keep(kept, results, actor);
    return results;
}

// One line, and nothing that another line could be made of.
std::string one_line(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '#'; }, ' ');
    return text;
}

}  // namespace

void set(const ScenarioArguments& draft, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto& name = checked_name(draft.name);
    request::check_text(draft.description, "description");
    if (!draft.asked.template_name) throw invalid("template", "It is NULL.", "Name the template that is tried.");
    dry_run::check(draft.asked);
    const auto expected = checked_expectations(draft);
    const auto mode = draft.asked.mode.value_or("check");
    if (mode == "execute" && draft.asked.person && !pg::is_superuser(me.role))
        throw Failure(Code::not_permitted, "only a superuser executes a dry run as another person",
                      "It would use the privileges that \"" + *draft.asked.person + "\" has without a grant.",
                      "Leave out the person, or use mode => 'check'.");
    principal::require_own_statement(me, origin, "scenario \"" + name + "\" is set");
    pg::execute(
        "INSERT INTO jit_access.scenario (name, description, template, person, mode, statements, expected, "
        "search_path, "
        "set_by, set_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, pg_catalog.clock_timestamp()) ON CONFLICT (name) "
        "DO "
        "UPDATE SET description = excluded.description, template = excluded.template, person = excluded.person, mode = "
        "excluded.mode, statements = excluded.statements, expected = excluded.expected, search_path = "
        "excluded.search_path, set_by = excluded.set_by, set_at = excluded.set_at",
        {name, pg::nullable(draft.description), *draft.asked.template_name, pg::nullable(draft.asked.person), mode,
         *draft.asked.statements, expected, pg::nullable(draft.asked.search_path), me.name});
    control_event::write("scenario set", std::nullopt, me.name,
                         {{"scenario", name},
                          {"template", draft.asked.template_name},
                          {"person", draft.asked.person},
                          {"mode", mode},
                          {"statements", core::join(*draft.asked.statements, "; ")},
                          {"expected", core::join(expected, ", ")}});
}

void drop(const std::optional<std::string>& name, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    if (pg::execute("DELETE FROM jit_access.scenario WHERE name = $1", {checked_name(name)}) == 0) throw unknown(*name);
    principal::require_own_statement(me, origin, "scenario \"" + *name + "\" is dropped");
    control_event::write("scenario dropped", std::nullopt, me.name, {{"scenario", *name}});
}

std::vector<Result> run(const std::optional<std::string>& name, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_auditor(me);
    std::vector<Result> results;
    std::size_t left_out = 0;
    for (const auto& kept : named(name)) {
        if (kept.executes && !name && !principal::is_admin(me)) {
            ++left_out;
            continue;
        }
        if (kept.executes) {
            principal::require_admin(me);
            principal::require_own_statement(me, origin, "scenario \"" + kept.name + "\" is executed");
        }
        const auto one = run_one(kept, me.name);
        results.insert(results.end(), one.begin(), one.end());
    }
    if (left_out > 0)
        pg::notice(std::to_string(left_out) + " scenarios were left out: they execute", "Ask an administrator.");
    return results;
}

std::string run_by_clock(const principal::Origin& origin) {
    const bool by_clock = !pg::is_client_statement();
    if (!by_clock) principal::require_admin(principal::caller());
    std::map<std::string, bool> green;
    for (const auto& kept : named(std::nullopt)) {
        if (kept.executes && !by_clock)
            principal::require_own_statement(principal::caller(), origin, "scenario \"" + kept.name + "\" is executed");
        const auto results = run_one(kept, by_clock ? "jit_access" : principal::caller().name);
        green[kept.name] = std::all_of(results.begin(), results.end(), [](const Result& one) { return one.ok; });
    }
    pg::TextArray red;
    for (const auto& [name, ok] : green)
        if (!ok) red.push_back(name);
    return std::to_string(green.size()) + " scenarios, " + std::to_string(red.size()) + " failed" +
           (red.empty() ? "" : ": " + core::join(red, ", "));
}

std::vector<std::string> as_tap(const std::vector<Result>& results) {
    std::vector<std::string> lines{"1.." + std::to_string(results.size())};
    for (std::size_t i = 0; i < results.size(); ++i) {
        const auto& one = results[i];
        lines.push_back((one.ok ? "ok " : "not ok ") + std::to_string(i + 1) + " - " + one.scenario + " " +
                        std::to_string(one.number) + ": " + one_line(one.got.statement));
        if (one.ok) continue;
        lines.push_back("# is " + one.got.outcome + ", not " + one.expected);
        if (!one.got.missing.empty()) lines.push_back("# missing: " + one_line(core::join(one.got.missing, ", ")));
        if (one.got.message) lines.push_back("# " + one_line(*one.got.message));
    }
    return lines;
}

}  // namespace jit::scenario
