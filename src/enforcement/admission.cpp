#include "jit_access/enforcement/admission.hpp"

#include <algorithm>

#include "jit_access/enforcement/session.hpp"
#include "jit_access/pg/clock.hpp"

namespace jit::admission {

namespace {

// A client that retries without a pause is slowed down, because it would otherwise fill the journal with its refusals.
std::uint32_t consecutive_refusals = 0;

// Called before every statement under a grant. The wall clock is read at most once in 100 us; in between, the boot
// clock advances it. If the wall clock is set, the change is therefore noticed at most 100 us later.
pg::Moment current_moment() noexcept {
    constexpr std::int64_t valid_us = 100;
    static pg::Moment last_read;
    if (const auto boot = pg::boot_clock(); boot - last_read.boot < valid_us)
        return {last_read.wall + (boot - last_read.boot), boot};
    return last_read = pg::both_clocks();
}

void delay_repeated_refusal() {
    constexpr std::uint32_t without_delay = 10;
    constexpr int max_ms = 100;
    if (++consecutive_refusals > without_delay) pg::nap(std::min<int>(static_cast<int>(consecutive_refusals), max_ms));
}

}  // namespace

// The worker removes the memberships of a grant shortly after the grant has ended. A session that has not used the
// grant may use its other privileges, so it waits for the clean-up instead of being refused at once. If the clean-up is
// not done in time, for example because the worker is down, the session is refused.
AccessCheck check_access() {
    constexpr int max_wait_ms = 300;
    constexpr int step_ms = 5;
    AccessCheck result = check_access(enforcement::current_grants());
    for (int waited = 0; result.under_grant() && result.access == enforcement::Access::grant_over &&
                         waited < max_wait_ms && session::ended_grant(result.at) == 0;
         waited += step_ms) {
        pg::nap(step_ms);
        pg::accept_invalidations();
        result = check_access(enforcement::current_grants());
    }
    return result;
}

AccessCheck check_access(const enforcement::EffectiveGrants* grants) {
    AccessCheck result{.grants = grants};
    if (!result.under_grant()) return result;
    result.at = current_moment();
    result.access = enforcement::evaluate_access(*result.grants, result.at);
    return result;
}

// The session is bound first, so that a timer watches the deadline from the moment the intent is on the record.
void record_use(const AccessCheck& check, const recorder::Statement& statement) {
    consecutive_refusals = 0;
    session::bind_to(*check.grants);
    recorder::begin(*check.grants, statement, check.at);
}

void record_refusal(const AccessCheck& check, const recorder::Statement& statement,
                    const core::Failure& failure) noexcept {
    recorder::record_refusal(*check.grants, statement, core::entry(failure.code).sqlstate, failure.message);
}

void continue_use(const AccessCheck& check) { session::bind_to(*check.grants); }

void refuse_statement(const AccessCheck& check, const recorder::Statement& statement) {
    try {
        enforcement::refuse(*check.grants, check.access);
    } catch (const core::Failure& failure) {
        record_refusal(check, statement, failure);
        delay_repeated_refusal();
        throw;
    }
}

}  // namespace jit::admission
