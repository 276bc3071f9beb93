// The second factor: enrol, confirm, step up, reset.
#include "jit_access/api/support.hpp"

#include <array>

#include "jit_access/identity/second_factor.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/redact_secrets.hpp"
#include "jit_access/pg/table_result.hpp"
#include "jit_access/shared/second_factor_state.hpp"

namespace jit::api {

namespace {

// Replaces the statement shown in pg_stat_activity, and in the server log if it fails. Called before anything can fail,
// because other users see the statement until the end of the transaction.
void hide_code() noexcept {
    pg::note_code_given();
    pg::report_command(pg::hidden_command);
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

PG_FUNCTION_INFO_V1(jit_enroll_totp);
Datum jit_enroll_totp(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args&) {
        const auto enrolment = second_factor::enroll(origin_of(fcinfo));
        const std::array row{pg::Value(enrolment.uri), pg::Value(enrolment.qr)};
        return pg::row_result(fcinfo, row);
    });
}

PG_FUNCTION_INFO_V1(jit_confirm_totp);
Datum jit_confirm_totp(PG_FUNCTION_ARGS) {
    hide_code();
    return answer(fcinfo, [&](const Args& args) {
        return pg::texts_result(second_factor::confirm(args.text(0), origin_of(fcinfo)));
    });
}

PG_FUNCTION_INFO_V1(jit_step_up);
Datum jit_step_up(PG_FUNCTION_ARGS) {
    hide_code();
    return answer(fcinfo, [&](const Args& args) {
        return Int64GetDatum(second_factor::step_up(args.text(0), origin_of(fcinfo)).us);
    });
}

PG_FUNCTION_INFO_V1(jit_reset_totp);
Datum jit_reset_totp(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        second_factor::reset(args.text(0), origin_of(fcinfo));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_locked_until);
Datum jit_locked_until(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        require_loaded();
        const auto until = second_factor_state::locked_until({DatumGetObjectId(fcinfo->args[0].value)});
        fcinfo->isnull = !until;
        return Int64GetDatum(until.value_or(0));
    });
}

}  // extern "C"
#pragma GCC visibility pop

}  // namespace jit::api
