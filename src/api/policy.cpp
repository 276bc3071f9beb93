// Persons, rules, windows, and the whole policy as one document.
#include "jit_access/api/support.hpp"

#include <array>
#include <optional>

#include "jit_access/identity/principal.hpp"
#include "jit_access/pg/table_result.hpp"
#include "jit_access/policy/policy_export.hpp"
#include "jit_access/policy/policy_import.hpp"
#include "jit_access/policy/rule.hpp"
#include "jit_access/policy/window.hpp"

namespace jit::api {

#pragma GCC visibility push(default)
extern "C" {

PG_FUNCTION_INFO_V1(jit_set_person);
Datum jit_set_person(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        principal::set_person(args.text(0), args.texts(1, "logins"), origin_of(fcinfo));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_create_rule);
Datum jit_create_rule(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        rule::create({.name = args.text(0),
                      .effect = args.text(1),
                      .templates = args.texts(2, "templates").value_or(pg::TextArray{}),
                      .role = args.text(3),
                      .max_duration = args.interval(4),
                      .max_risk = args.text(5),
                      .networks = args.texts(6, "networks").value_or(pg::TextArray{}),
                      .windows = args.texts(7, "windows").value_or(pg::TextArray{})},
                     origin_of(fcinfo));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_drop_rule);
Datum jit_drop_rule(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        rule::drop(args.text(0), origin_of(fcinfo));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_create_window);
Datum jit_create_window(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        window::create({.name = args.text(0),
                        .time_zone = args.text(1),
                        .starts = args.time(2),
                        .lasts = args.interval(3),
                        .kind = args.text(4),
                        .weekdays = args.integers(5, "weekdays"),
                        .first_day = args.integer(6),
                        .last_day = args.integer(7),
                        .days = args.integers(8, "days")},
                       origin_of(fcinfo));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_drop_window);
Datum jit_drop_window(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        window::drop(args.text(0), origin_of(fcinfo));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_hours);
Datum jit_hours(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        require_loaded();
        const Args args(fcinfo);
        const auto time_or_null = [](const std::optional<std::int64_t>& us) {
            return us ? pg::Value(pg::Instant{*us}) : pg::Value();
        };
        const auto row = window::explain(args.texts(0, "windows").value_or(pg::TextArray{}), args.instant(1));
        const std::array answer{pg::Value(row.open()), time_or_null(row.until), time_or_null(row.next)};
        return pg::row_result(fcinfo, answer);
    });
}

PG_FUNCTION_INFO_V1(jit_export_policy);
Datum jit_export_policy(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return pg::jsonb_result(policy_file::export_policy()); });
}

PG_FUNCTION_INFO_V1(jit_import_policy);
Datum jit_import_policy(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        const auto document = args.jsonb(0);
        if (!document)
            throw Failure(Code::invalid_argument, "invalid policy", "It is NULL.", "See jit_export_policy().");
        const auto mode = args.boolean(1).value_or(true) ? policy_file::Mode::rehearse : policy_file::Mode::apply;
        pg::TableResult table(fcinfo);
        for (const auto& change : policy_file::import_policy(*document, mode, origin_of(fcinfo))) {
            const std::array<pg::Value, 4> row{std::string(change.action), std::string(change.kind), change.name,
                                               change.settings};
            table.add_row(row);
        }
        return Datum{0};
    });
}

}  // extern "C"
#pragma GCC visibility pop

}  // namespace jit::api
