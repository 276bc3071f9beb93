#include "jit_access/use.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/clock.hpp"

namespace jit::use {

namespace {

std::array<char, 5> sqlstate_of(core::Code code) noexcept {
    std::array<char, 5> state{};
    core::entry(code).sqlstate.copy(state.data(), state.size());
    return state;
}

}  // namespace

Check check() { return check(enforce::standing()); }

Check check(const enforce::Standing* standing) {
    Check result{.standing = standing};
    if (!result.under_grant()) return result;
    result.wall = pg::wall_clock();
    result.boot = pg::boot_clock();
    result.verdict = enforce::judge(*result.standing, result.wall, result.boot);
    return result;
}

void record(const Check& check, const audit::Statement& statement) {
    enforce::rely_on(*check.standing);
    audit::begin(*check.standing, statement, check.wall, check.boot);
}

void go_on(const Check& check) { enforce::rely_on(*check.standing); }

void refuse(const Check& check, const audit::Statement& statement) {
    try {
        enforce::refuse(*check.standing, check.verdict);
    } catch (const core::Failure& failure) {
        audit::refused(*check.standing, statement, sqlstate_of(failure.code), failure.message);
        throw;
    }
}

}  // namespace jit::use
