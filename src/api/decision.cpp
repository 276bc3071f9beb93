// Functions of the approver: approve, deny, resume, revoke.
#include "jit_access/api/support.hpp"

#include "jit_access/grants/decision.hpp"
#include "jit_access/identity/principal.hpp"

namespace jit::api {

#pragma GCC visibility push(default)
extern "C" {

PG_FUNCTION_INFO_V1(jit_approve);
Datum jit_approve(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return state_result(decision::approve(
            args.id(0), {.comment = args.text(1), .duration = args.interval(2), .digest = args.text(3)},
            origin_of(fcinfo)));
    });
}

PG_FUNCTION_INFO_V1(jit_deny);
Datum jit_deny(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) { return state_result(decision::deny(args.id(0), args.text(1))); });
}

PG_FUNCTION_INFO_V1(jit_resume);
Datum jit_resume(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return state_result(decision::resume(args.id(0), args.text(1), origin_of(fcinfo)));
    });
}

PG_FUNCTION_INFO_V1(jit_revoke);
Datum jit_revoke(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) { return state_result(decision::revoke(args.id(0), args.text(1))); });
}

PG_FUNCTION_INFO_V1(jit_may_decide);
Datum jit_may_decide(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        const auto id = Args(fcinfo).bigint(0);
        return BoolGetDatum(id && principal::may_decide(principal::session_person(), *id));
    });
}

}  // extern "C"
#pragma GCC visibility pop

}  // namespace jit::api
