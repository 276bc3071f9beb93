// Break-glass and its review, access reviews, alerts and alert rules.
#include "jit_access/api/support.hpp"

#include "jit_access/identity/principal.hpp"
#include "jit_access/oversight/access_review.hpp"
#include "jit_access/oversight/alert.hpp"
#include "jit_access/oversight/alert_rule.hpp"
#include "jit_access/oversight/break_glass.hpp"
#include "jit_access/oversight/detection.hpp"

namespace jit::api {

#pragma GCC visibility push(default)
extern "C" {

PG_FUNCTION_INFO_V1(jit_break_glass);
Datum jit_break_glass(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return Int64GetDatum(break_glass::create(
            {.template_name = args.text(0), .duration = args.interval(1), .reason = args.text(2)}, origin_of(fcinfo)));
    });
}

PG_FUNCTION_INFO_V1(jit_review);
Datum jit_review(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return pg::text_result(
            break_glass::review(args.id(0), {.verdict = args.text(1), .comment = args.text(2)}, origin_of(fcinfo)));
    });
}

PG_FUNCTION_INFO_V1(jit_start_review);
Datum jit_start_review(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return Int64GetDatum(access_review::start({.scope = args.text(0),
                                                   .reviewers = args.texts(1, "reviewers"),
                                                   .due = args.instant(2),
                                                   .templates = args.texts(3, "templates")},
                                                  origin_of(fcinfo)));
    });
}

PG_FUNCTION_INFO_V1(jit_review_item);
Datum jit_review_item(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return pg::text_result(access_review::review(args.id(0, "access review"), args.integer(1),
                                                     {.verdict = args.text(2), .comment = args.text(3)},
                                                     origin_of(fcinfo)));
    });
}

PG_FUNCTION_INFO_V1(jit_review_csv);
Datum jit_review_csv(PG_FUNCTION_ARGS) {
    return answer(fcinfo,
                  [](const Args& args) { return pg::text_result(access_review::as_csv(args.id(0, "access review"))); });
}

PG_FUNCTION_INFO_V1(jit_may_review);
Datum jit_may_review(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        const auto id = Args(fcinfo).bigint(0);
        return BoolGetDatum(id && access_review::may_review(principal::session_person(), *id));
    });
}

PG_FUNCTION_INFO_V1(jit_remind_reviews);
Datum jit_remind_reviews(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return Int64GetDatum(access_review::remind_overdue()); });
}

PG_FUNCTION_INFO_V1(jit_acknowledge_alert);
Datum jit_acknowledge_alert(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        alert::acknowledge(args.id(0, "alert"), args.text(1), origin_of(fcinfo));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_close_alert);
Datum jit_close_alert(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        alert::close(args.id(0, "alert"), args.text(1), origin_of(fcinfo));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_set_alert_rule);
Datum jit_set_alert_rule(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        alert_rule::set(args.text(0),
                        {.enabled = args.boolean(1),
                         .severity = args.text(2),
                         .threshold = args.integer(3),
                         .within = args.interval(4),
                         .suspends = args.boolean(5)},
                        origin_of(fcinfo));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_detect);
Datum jit_detect(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        const auto reached = detection::evaluate_up_to(args.bigint(0));
        fcinfo->isnull = !reached;
        return Int64GetDatum(reached.value_or(0));
    });
}

}  // extern "C"
#pragma GCC visibility pop

}  // namespace jit::api
