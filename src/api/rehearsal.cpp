// Dry runs, scenarios and the drill.
#include "jit_access/api/support.hpp"
#include "jit_access/rehearsal/drill_setup.hpp"

#include <array>

#include "jit_access/pg/table_result.hpp"
#include "jit_access/rehearsal/drill.hpp"
#include "jit_access/rehearsal/dry_run.hpp"
#include "jit_access/rehearsal/scenario.hpp"

namespace jit::api {

namespace {

// The arguments of jit_dry_run or jit_set_scenario, by name. Arguments that the function does not have are left empty.
dry_run::DryRunArguments dry_run_arguments(const Args& args) {
    dry_run::DryRunArguments arguments;
    args.read("template", arguments.template_name);
    args.read("statements", arguments.statements);
    args.read("mode", arguments.mode);
    args.read("person", arguments.person);
    args.read("privileges", arguments.privileges);
    args.read("search_path", arguments.search_path);
    args.read("statement_timeout", arguments.timeout);
    args.read("allow_schema_change", arguments.allow_schema_change);
    args.read("allow_code", arguments.allow_code);
    return arguments;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

PG_FUNCTION_INFO_V1(jit_dry_run);
Datum jit_dry_run(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        pg::TableResult table(fcinfo);
        std::int32_t number = 0;
        for (const auto& result : dry_run::run(dry_run_arguments(args), origin_of(fcinfo))) {
            const std::array row{pg::Value(++number),       pg::Value(result.statement), pg::Value(result.outcome),
                                 pg::Value(result.missing), or_null(result.rows),        pg::Value(result.sequences),
                                 or_null(result.sqlstate),  or_null(result.message)};
            table.add_row(row);
        }
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_set_scenario);
Datum jit_set_scenario(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        scenario::set({.name = args.text(0),
                       .description = args.text(7),
                       .expected = args.texts(3, "expected"),
                       .dry_run = dry_run_arguments(args)},
                      origin_of(fcinfo));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_drop_scenario);
Datum jit_drop_scenario(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        scenario::drop(args.text(0), origin_of(fcinfo));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_run_scenarios);
Datum jit_run_scenarios(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        pg::TableResult table(fcinfo);
        for (const auto& result : scenario::run(args.text(0), origin_of(fcinfo))) {
            const std::array row{pg::Value(result.scenario),          pg::Value(result.number),
                                 pg::Value(result.outcome.statement), pg::Value(result.expected),
                                 pg::Value(result.outcome.outcome),   pg::Value(result.ok),
                                 pg::Value(result.outcome.missing),   or_null(result.outcome.message)};
            table.add_row(row);
        }
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_scenarios_tap);
Datum jit_scenarios_tap(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        pg::TableResult table(fcinfo);
        std::int32_t number = 0;
        for (const auto& line : scenario::as_tap(scenario::run(args.text(0), origin_of(fcinfo)))) {
            const std::array row{pg::Value(++number), pg::Value(line)};
            table.add_row(row);
        }
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_job_scenarios);
Datum jit_job_scenarios(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args&) { return pg::text_result(scenario::run_all(origin_of(fcinfo))); });
}

PG_FUNCTION_INFO_V1(jit_set_up_drill);
Datum jit_set_up_drill(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args&) {
        drill::set_up(origin_of(fcinfo));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_drill);
Datum jit_drill(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        pg::TableResult table(fcinfo);
        for (const auto& step : drill::run(args.interval(0))) {
            const std::array row{pg::Value(step.number), pg::Value(step.name), pg::Value(step.ok),
                                 pg::Value(step.latency_ms), or_null(step.detail)};
            table.add_row(row);
        }
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_job_drill);
Datum jit_job_drill(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return pg::text_result(drill::run_as_job()); });
}

}  // extern "C"
#pragma GCC visibility pop

}  // namespace jit::api
