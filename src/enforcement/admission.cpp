#include "jit_access/enforcement/admission.hpp"

#include <algorithm>

#include "jit_access/enforcement/session.hpp"
#include "jit_access/pg/clock.hpp"

namespace jit::admission {

namespace {

// A client that tries again and again without a pause would fill the journal with its refusals.
std::uint32_t refusals_in_a_row = 0;

// Asked before every statement: the wall clock is read at most once in a tenth of a millisecond, in between the boot
// clock carries it on.
pg::Moment moment() noexcept {
    constexpr std::int64_t good_for = 100;
    static pg::Moment read;
    if (const auto boot = pg::boot_clock(); boot - read.boot < good_for) return {read.wall + (boot - read.boot), boot};
    return read = pg::both_clocks();
}

void slow_down() {
    constexpr std::uint32_t free_of_charge = 10;
    constexpr int max_ms = 100;
    if (++refusals_in_a_row > free_of_charge) pg::nap(std::min<int>(static_cast<int>(refusals_in_a_row), max_ms));
}

}  // namespace

// A grant that is over is gone from the memberships a moment later, when the worker is well. A session that has not
// used it, and has every right to its other privileges, waits for that moment rather than being refused.
Check check() {
    constexpr int patience_ms = 300;
    constexpr int step_ms = 5;
    Check result = check(enforcement::current_grants());
    for (int waited = 0; result.under_grant() && result.access == enforcement::Access::over && waited < patience_ms &&
                         session::debt(result.at) == 0;
         waited += step_ms) {
        pg::nap(step_ms);
        pg::accept_invalidations();
        result = check(enforcement::current_grants());
    }
    return result;
}

Check check(const enforcement::EffectiveGrants* grants) {
    Check result{.grants = grants};
    if (!result.under_grant()) return result;
    result.at = moment();
    result.access = enforcement::judge(*result.grants, result.at);
    return result;
}

void record(const Check& check, const recorder::Statement& statement) {
    refusals_in_a_row = 0;
    session::rely_on(*check.grants);
    recorder::begin(*check.grants, statement, check.at);
}

void note_refusal(const Check& check, const recorder::Statement& statement, const core::Failure& failure) noexcept {
    recorder::refused(*check.grants, statement, core::entry(failure.code).sqlstate, failure.message);
}

void go_on(const Check& check) { session::rely_on(*check.grants); }

void refuse(const Check& check, const recorder::Statement& statement) {
    try {
        enforcement::refuse(*check.grants, check.access);
    } catch (const core::Failure& failure) {
        note_refusal(check, statement, failure);
        slow_down();
        throw;
    }
}

}  // namespace jit::admission
