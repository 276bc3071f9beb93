#include "jit_access/shared/second_factor_state.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/digest.hpp"
#include "jit_access/pg/locks.hpp"
#include "jit_access/pg/sql.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::second_factor_state {

using pg::RoleId;

namespace {

// Of this session.
struct Mark {
    std::uint32_t login = 0;
    std::uint32_t epoch = 0;
    std::int64_t until = 0;  // boot clock
};
Mark mine;
std::uint64_t my_client = 0;  // hash of its address; 0: not computed yet

SecondFactors& factors() noexcept { return shared_state->second_factors; }

constexpr std::uint32_t place_of(std::uint32_t login) noexcept { return login * 2654435761U % max_factor_logins; }

// Entries are never taken away, so whoever is not found before the first free one is not there.
LoginFactor* find(std::uint32_t login) noexcept {
    for (std::uint32_t i = 0; i < max_factor_logins; ++i) {
        LoginFactor& factor = factors().logins[(place_of(login) + i) % max_factor_logins];
        const auto of = factor.login.load(std::memory_order_acquire);
        if (of == login) return &factor;
        if (of == 0) return nullptr;
    }
    return nullptr;
}

// Under the lock. Null: all are taken.
LoginFactor* find_or_add(std::uint32_t login) noexcept {
    for (std::uint32_t i = 0; i < max_factor_logins; ++i) {
        LoginFactor& factor = factors().logins[(place_of(login) + i) % max_factor_logins];
        const auto of = factor.login.load();
        if (of == 0) factor.login.store(login, std::memory_order_release);
        if (of == 0 || of == login) return &factor;
    }
    return nullptr;
}

bool is_spent(std::uint32_t login, const core::Digest& digest) noexcept {
    const auto& spent = factors().recovery_codes;
    return std::any_of(spent.begin(), spent.end(),
                       [&](const UsedRecoveryCode& code) { return code.login == login && code.digest == digest; });
}

UsedRecoveryCode* free_place() noexcept {
    for (auto& code : factors().recovery_codes)
        if (code.login == 0) return &code;
    return nullptr;
}

CodeResult answer(core::Admission admission) noexcept {
    switch (admission) {
        case core::Admission::accepted: return CodeResult::accepted;
        case core::Admission::wrong: return CodeResult::wrong;
        case core::Admission::locked: return CodeResult::locked;
    }
    return CodeResult::wrong;
}

void note_use(LoginFactor& factor) noexcept {
    factor.unsaved_use = pg::wall_clock();
    factors().has_unsaved.store(true);
}

bool holds(const Mark& mark, std::int64_t boot) noexcept {
    if (mark.login == 0 || boot >= mark.until) return false;
    const LoginFactor* factor = find(mark.login);
    return factor != nullptr && factor->reset_count.load() == mark.epoch;
}

bool has_made(const LoginFactor& factor, SecretId secret) noexcept {
    return secret != 0 && factor.new_secret == secret;
}

// What the primary had accepted, a standby that is promoted does not know.
void notice_promotion() noexcept {
    if (!factors().was_primary.load() && !factors().was_primary.exchange(true))
        factors().step_floor.store(current_step() + core::code_skew);
}

std::uint64_t client() {
    if (my_client != 0) return my_client;
    const auto address = pg::client_address();
    const auto digest = pg::ServerHasher().hash({std::as_bytes(std::span(address))});
    std::memcpy(&my_client, digest.data(), sizeof my_client);
    my_client |= 1;
    return my_client;
}

}  // namespace

std::uint64_t current_step() noexcept {
    constexpr std::int64_t unix_to_server = 946'684'800;  // seconds from 1970 to 2000
    return core::step_at(pg::wall_clock() / 1'000'000 + unix_to_server);
}

void initialize() noexcept {
    factors().was_primary.store(!shared_state->started_as_standby);
    factors().step_floor.store(current_step() + core::code_skew);
}

std::uint64_t step_floor(RoleId login, SecretId secret) {
    notice_promotion();
    const pg::SecondFactorLock lock;
    const LoginFactor* factor = find(login.oid);
    return factor != nullptr && has_made(*factor, secret) ? 0 : factors().step_floor.load();
}

bool register_secret(RoleId login, SecretId secret) {
    const pg::SecondFactorLock lock;
    LoginFactor* factor = find_or_add(login.oid);
    if (factor != nullptr) factor->new_secret = secret;
    return factor != nullptr;
}

CodeResult try_code(RoleId login, SecretId secret, std::optional<std::uint64_t> step, std::uint64_t last_step) {
    notice_promotion();
    const auto boot = pg::boot_clock();
    const pg::SecondFactorLock lock;
    LoginFactor* factor = find_or_add(login.oid);
    if (factor == nullptr) return CodeResult::no_room;
    const auto lowest = has_made(*factor, secret) ? 0 : factors().step_floor.load();
    factor->history.last_step = std::max(factor->history.last_step, last_step);
    const auto admission = core::admit_code(factor->history, step, lowest, boot);
    if (admission == core::Admission::accepted) note_use(*factor);
    return answer(admission);
}

namespace {

// A recovery code that this session is trying; let go of unless it is accepted.
class Trial {
public:
    Trial(RoleId login, const core::Digest& digest) {
        const pg::SecondFactorLock lock;
        LoginFactor* factor = find_or_add(login.oid);
        UsedRecoveryCode* place = free_place();
        if (factor == nullptr || place == nullptr) return;
        has_room_ = true;
        if (is_spent(login.oid, digest)) return;
        *place = {login.oid, pg::backend_pid(), digest};
        place_ = place;
    }
    ~Trial() {
        if (place_ == nullptr) return;
        const pg::SecondFactorLock lock;
        place_->login = 0;
    }
    Trial(const Trial&) = delete;
    Trial& operator=(const Trial&) = delete;

    [[nodiscard]] bool has_room() const noexcept { return has_room_; }
    [[nodiscard]] bool has_begun() const noexcept { return place_ != nullptr; }
    // Under the lock.
    void accept() noexcept { std::exchange(place_, nullptr)->tried_by = 0; }

private:
    UsedRecoveryCode* place_ = nullptr;
    bool has_room_ = false;
};

}  // namespace

CodeResult try_recovery_code(RoleId login, const core::Digest& digest, const std::function<bool()>& use) {
    Trial trial(login, digest);
    if (!trial.has_room()) return CodeResult::no_room;
    const bool is_right = trial.has_begun() && use();
    const auto boot = pg::boot_clock();
    const pg::SecondFactorLock lock;
    LoginFactor* factor = find(login.oid);
    const auto admission = core::admit_recovery(factor->history, is_right, boot);
    if (admission == core::Admission::accepted) {
        trial.accept();
        note_use(*factor);
    }
    return answer(admission);
}

void mark_session(RoleId login, std::int64_t until) {
    const auto here = client();
    LoginFactor* factor = find(login.oid);
    if (factor == nullptr) return;
    factor->fresh_until.store(0);
    factor->client_hash.store(here);
    factor->fresh_until.store(until);
    mine = {login.oid, factor->reset_count.load(), until};
}

void clear_session_mark() noexcept { mine = {}; }

bool has_stepped_up(RoleId login) noexcept { return mine.login == login.oid && holds(mine, pg::boot_clock()); }

bool has_stepped_up_from_here() noexcept {
    const auto login = pg::session_user();
    if (has_stepped_up(login)) return true;
    const LoginFactor* factor = find(login.oid);
    if (factor == nullptr || pg::boot_clock() >= factor->fresh_until.load()) return false;
    try {
        return factor->client_hash.load() == client();
    } catch (...) {
        return false;
    }
}

void reset(RoleId login) {
    const pg::SecondFactorLock lock;
    LoginFactor* factor = find(login.oid);
    if (factor == nullptr) return;
    factor->reset_count.fetch_add(1);
    factor->fresh_until.store(0);
    factor->history.failures = 0;
    factor->history.locked_until = 0;
}

std::optional<std::int64_t> locked_until(RoleId login) {
    const auto boot = pg::boot_clock();
    const pg::SecondFactorLock lock;
    const LoginFactor* factor = find(login.oid);
    if (factor == nullptr || factor->history.locked_until <= boot) return std::nullopt;
    return pg::wall_clock() + (factor->history.locked_until - boot);
}

namespace {

struct Used {
    std::uint32_t login;
    std::uint64_t step;
    std::int64_t at;
};

std::vector<Used> take_unwritten() {
    std::vector<Used> found;
    found.reserve(max_factor_logins);
    const pg::SecondFactorLock lock;
    for (auto& factor : factors().logins)
        if (const auto at = std::exchange(factor.unsaved_use, 0); at != 0)
            found.push_back({factor.login.load(), factor.history.last_step, at});
    return found;
}

void put_back(const Used& used) {
    const pg::SecondFactorLock lock;
    if (LoginFactor* factor = find(used.login)) factor->unsaved_use = std::max(factor->unsaved_use, used.at);
    factors().has_unsaved.store(true);
}

// False: somebody holds the row just now.
bool write(const Used& used) {
    const auto row = pg::query_row("SELECT 1 FROM jit_access.second_factor WHERE login = $1 FOR UPDATE SKIP LOCKED",
                                   {RoleId{used.login}});
    if (!row) return !pg::query_row("SELECT 1 FROM jit_access.second_factor WHERE login = $1", {RoleId{used.login}});
    pg::execute(
        "UPDATE jit_access.second_factor SET last_step = greatest(last_step, $2), last_used = $3 WHERE login = $1",
        {RoleId{used.login}, static_cast<std::int64_t>(used.step), pg::Instant{used.at}});
    return true;
}

bool write(const UsedRecoveryCode& code) {
    const auto digest = core::to_hex(code.digest);
    const auto row = pg::query_row(
        "SELECT 1 FROM jit_access.recovery_code WHERE login = $1 AND digest = pg_catalog.decode($2, 'hex') "
        "FOR UPDATE SKIP LOCKED",
        {RoleId{code.login}, digest});
    if (!row)
        return !pg::query_row(
            "SELECT 1 FROM jit_access.recovery_code WHERE login = $1 AND digest = pg_catalog.decode($2, 'hex')",
            {RoleId{code.login}, digest});
    pg::execute(
        "UPDATE jit_access.recovery_code SET used_at = coalesce(used_at, pg_catalog.clock_timestamp()) WHERE login = "
        "$1 AND digest = pg_catalog.decode($2, 'hex')",
        {RoleId{code.login}, digest});
    return true;
}

std::vector<UsedRecoveryCode> all_spent() {
    std::vector<UsedRecoveryCode> found;
    found.reserve(factors().recovery_codes.size());
    const pg::SecondFactorLock lock;
    for (auto& code : factors().recovery_codes) {
        if (code.login == 0) continue;
        if (code.tried_by == 0)
            found.push_back(code);
        else if (!pg::process_exists(code.tried_by))
            code.login = 0;
    }
    return found;
}

void free_spent(const UsedRecoveryCode& written) {
    const pg::SecondFactorLock lock;
    for (auto& code : factors().recovery_codes)
        if (code.login == written.login && code.digest == written.digest) code.login = 0;
}

}  // namespace

// Who has a row locked, by a transaction that he leaves open, holds up nobody else: it is tried again. A recovery code
// is free to be looked for in the table once it is marked there.
void save_to_tables() {
    notice_promotion();
    if (!factors().has_unsaved.exchange(false)) return;
    for (const auto& used : take_unwritten()) {
        bool done = false;
        const auto fault = task::run_in_transaction([&] { done = write(used); });
        if (fault || !done) put_back(used);
    }
    for (const auto& code : all_spent()) {
        bool done = false;
        const auto fault = task::run_in_transaction([&] { done = write(code); });
        if (!fault && done)
            free_spent(code);
        else
            factors().has_unsaved.store(true);
    }
}

// Their OIDs may come back.
void delete_dropped_logins() {
    pg::execute(
        "DELETE FROM jit_access.second_factor WHERE login IN (SELECT login FROM jit_access.second_factor f WHERE NOT "
        "EXISTS (SELECT FROM pg_catalog.pg_authid a WHERE a.oid = f.login) FOR UPDATE SKIP LOCKED)");
}

}  // namespace jit::second_factor_state
