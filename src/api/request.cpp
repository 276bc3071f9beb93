// Functions of the requester: request, cancel, extend, activate, credentials, eligibility.
#include "jit_access/api/support.hpp"

#include <array>

#include "jit_access/grants/decision.hpp"
#include "jit_access/grants/eligibility.hpp"
#include "jit_access/grants/request.hpp"
#include "jit_access/grants/request_digest.hpp"
#include "jit_access/grants/temporary_login.hpp"
#include "jit_access/identity/principal.hpp"
#include "jit_access/pg/table_result.hpp"

namespace jit::api {

#pragma GCC visibility push(default)
extern "C" {

PG_FUNCTION_INFO_V1(jit_request);
Datum jit_request(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return Int64GetDatum(request::create({.template_name = args.text(0),
                                              .duration = args.interval(1),
                                              .reason = args.text(2),
                                              .ticket = args.text(3),
                                              .scope = args.texts(4, "scope"),
                                              .starts_at = args.instant(5)},
                                             origin_of(fcinfo)));
    });
}

PG_FUNCTION_INFO_V1(jit_cancel);
Datum jit_cancel(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) { return state_result(request::cancel(args.id(0), args.text(1))); });
}

PG_FUNCTION_INFO_V1(jit_extend);
Datum jit_extend(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return Int64GetDatum(request::extend(args.id(0), args.interval(1), args.text(2), origin_of(fcinfo)).us);
    });
}

PG_FUNCTION_INFO_V1(jit_activate);
Datum jit_activate(PG_FUNCTION_ARGS) {
    return answer(fcinfo,
                  [&](const Args& args) { return state_result(decision::activate(args.id(0), origin_of(fcinfo))); });
}

PG_FUNCTION_INFO_V1(jit_credentials);
Datum jit_credentials(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        const auto credentials = temporary_login::issue_credentials(args.id(0), origin_of(fcinfo));
        const std::array<pg::Value, 3> row{credentials.login, credentials.password, credentials.valid_until};
        return pg::row_result(fcinfo, row);
    });
}

PG_FUNCTION_INFO_V1(jit_eligibility);
Datum jit_eligibility(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        pg::TableResult table(fcinfo);
        for (const auto& row : eligibility::explain(principal::caller(), args.text(0), args.interval(1)))
            table.add_row(row);
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_request_digest);
Datum jit_request_digest(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        const auto id = Args(fcinfo).bigint(0);
        const auto digest = id ? request_digest::compute_current(*id) : std::nullopt;
        fcinfo->isnull = !digest;
        return digest ? pg::text_result(*digest) : Datum{0};
    });
}

}  // extern "C"
#pragma GCC visibility pop

}  // namespace jit::api
