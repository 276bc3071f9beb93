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

// The step-up of this session: the login that stepped up, and how long the step-up is valid.
struct SessionMark {
    std::uint32_t login = 0;        // 0 = the session has not stepped up
    std::uint32_t reset_count = 0;  // of the login, when it stepped up
    std::int64_t until = 0;         // boot time
};
SessionMark session_mark;
std::uint64_t own_client_hash = 0;  // 0 = this process has no client

SecondFactors& factors() noexcept { return shared_state->second_factors; }

// Multiplicative hashing (Knuth, The Art of Computer Programming, volume 3, 6.4).
constexpr std::uint32_t first_place(std::uint32_t login) noexcept { return login * 2654435761U % max_factor_logins; }

// Linear probing. Entries are never removed, so a search without the lock may stop at the first free one.
LoginFactor* find(std::uint32_t login) noexcept {
    for (std::uint32_t i = 0; i < max_factor_logins; ++i) {
        LoginFactor& factor = factors().logins[(first_place(login) + i) % max_factor_logins];
        const auto owner = factor.login.load(std::memory_order_acquire);
        if (owner == login) return &factor;
        if (owner == 0) return nullptr;
    }
    return nullptr;
}

// Called under the lock. Returns null if all entries are taken.
LoginFactor* find_or_add(std::uint32_t login) noexcept {
    for (std::uint32_t i = 0; i < max_factor_logins; ++i) {
        LoginFactor& factor = factors().logins[(first_place(login) + i) % max_factor_logins];
        const auto owner = factor.login.load();
        if (owner == 0) factor.login.store(login, std::memory_order_release);
        if (owner == 0 || owner == login) return &factor;
    }
    return nullptr;
}

// Called under the lock. Returns whether the code is being tried or was accepted.
bool is_taken(std::uint32_t login, const core::Digest& digest) noexcept {
    const auto& codes = factors().recovery_codes;
    return std::any_of(codes.begin(), codes.end(),
                       [&](const UsedRecoveryCode& code) { return code.login == login && code.digest == digest; });
}

UsedRecoveryCode* find_free_code() noexcept {
    for (auto& code : factors().recovery_codes)
        if (code.login == 0) return &code;
    return nullptr;
}

CodeResult result_of(core::Admission admission) noexcept {
    switch (admission) {
        case core::Admission::accepted: return CodeResult::accepted;
        case core::Admission::wrong: return CodeResult::wrong;
        case core::Admission::locked: return CodeResult::locked;
    }
    return CodeResult::wrong;
}

void mark_unsaved(LoginFactor& factor) noexcept {
    factor.unsaved_use = pg::wall_clock();
    factors().has_unsaved.store(true);
}

bool is_valid(const SessionMark& mark, std::int64_t boot) noexcept {
    if (mark.login == 0 || boot >= mark.until) return false;
    const LoginFactor* factor = find(mark.login);
    return factor != nullptr && factor->reset_count.load() == mark.reset_count;
}

bool is_new_secret(const LoginFactor& factor, SecretId secret) noexcept {
    return secret != 0 && factor.new_secret == secret;
}

// A standby does not know which codes the primary has accepted. The first process that notices the promotion raises the
// floor.
void raise_floor_after_promotion() noexcept {
    if (!factors().was_primary.load() && !factors().was_primary.exchange(true))
        factors().step_floor.store(current_step() + core::code_skew);
}

// Returns a hash that is never 0, because 0 means that there is no client.
std::uint64_t hash_of_client() {
    const auto address = pg::client_address();
    const auto digest = pg::ServerHasher().hash({std::as_bytes(std::span(address))});
    std::uint64_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash | 1;
}

void publish(const SessionMark& mark) noexcept {
    session_mark = mark;
    auto& session = own_session();
    session.stepped_up_until.store(0);
    session.stepped_up_login.store(mark.login);
    session.stepped_up_reset_count.store(mark.reset_count);
    session.stepped_up_until.store(mark.until);
}

// A parallel worker belongs to the session of its leader.
SessionMark mark_of_session() noexcept {
    const SessionSlot* leader = leader_session();
    if (leader == nullptr || leader->client_pid.load() != pg::leader_pid()) return session_mark;
    return {leader->stepped_up_login.load(), leader->stepped_up_reset_count.load(), leader->stepped_up_until.load()};
}

std::uint64_t client_hash() noexcept {
    const SessionSlot* leader = leader_session();
    return leader != nullptr && leader->client_pid.load() == pg::leader_pid() ? leader->client_hash.load()
                                                                              : own_client_hash;
}

}  // namespace

std::uint64_t current_step() noexcept {
    constexpr std::int64_t unix_to_server = 946'684'800;  // seconds from 1970 to 2000
    return core::step_at(pg::wall_clock() / 1'000'000 + unix_to_server);
}

void initialize() noexcept {
    // raise_floor_after_promotion() uses was_primary to notice a promotion.
    factors().was_primary.store(!shared_state->started_as_standby);
    factors().step_floor.store(current_step() + core::code_skew);
}

std::uint64_t step_floor(RoleId login, SecretId secret) {
    raise_floor_after_promotion();
    const pg::SecondFactorLock lock;
    const LoginFactor* factor = find(login.oid);
    return factor != nullptr && is_new_secret(*factor, secret) ? 0 : factors().step_floor.load();
}

bool register_secret(RoleId login, SecretId secret) {
    const pg::SecondFactorLock lock;
    LoginFactor* factor = find_or_add(login.oid);
    if (factor != nullptr) factor->new_secret = secret;
    return factor != nullptr;
}

// The clocks are read before the lock is taken, so that the lock is held for a few instructions only.
CodeResult try_code(RoleId login, SecretId secret, std::optional<std::uint64_t> step, std::uint64_t last_step) {
    raise_floor_after_promotion();
    const auto boot = pg::boot_clock();
    const pg::SecondFactorLock lock;
    LoginFactor* factor = find_or_add(login.oid);
    if (factor == nullptr) return CodeResult::no_room;
    const auto lowest = is_new_secret(*factor, secret) ? 0 : factors().step_floor.load();
    factor->history.last_step = std::max(factor->history.last_step, last_step);
    const auto admission = core::admit_code(factor->history, step, lowest, boot);
    if (admission == core::Admission::accepted) mark_unsaved(*factor);
    return result_of(admission);
}

namespace {

// Reserves a recovery code for this session. Unless it is accepted, the destructor releases it, even after an ERROR.
class CodeReservation {
public:
    CodeReservation(RoleId login, const core::Digest& digest) {
        const pg::SecondFactorLock lock;
        LoginFactor* factor = find_or_add(login.oid);
        UsedRecoveryCode* code = find_free_code();
        if (factor == nullptr || code == nullptr) return;
        has_room_ = true;
        if (is_taken(login.oid, digest)) return;
        *code = {login.oid, pg::backend_pid(), digest};
        code_ = code;
    }
    ~CodeReservation() {
        if (code_ == nullptr) return;
        const pg::SecondFactorLock lock;
        code_->login = 0;
    }
    CodeReservation(const CodeReservation&) = delete;
    CodeReservation& operator=(const CodeReservation&) = delete;

    [[nodiscard]] bool has_room() const noexcept { return has_room_; }
    [[nodiscard]] bool is_reserved() const noexcept { return code_ != nullptr; }
    // Called under the lock.
    void accept() noexcept { std::exchange(code_, nullptr)->tried_by = 0; }

private:
    UsedRecoveryCode* code_ = nullptr;
    bool has_room_ = false;
};

}  // namespace

CodeResult try_recovery_code(RoleId login, const core::Digest& digest, const std::function<bool()>& mark_used) {
    CodeReservation reservation(login, digest);
    if (!reservation.has_room()) return CodeResult::no_room;
    // mark_used() runs SQL, so the lock cannot be held here. The reservation keeps other sessions from using the code.
    const bool is_right = reservation.is_reserved() && mark_used();
    const auto boot = pg::boot_clock();
    const pg::SecondFactorLock lock;
    LoginFactor* factor = find(login.oid);
    const auto admission = core::admit_recovery(factor->history, is_right, boot);
    if (admission == core::Admission::accepted) {
        reservation.accept();
        mark_unsaved(*factor);
    }
    return result_of(admission);
}

void mark_session(RoleId login, std::int64_t until) {
    const auto here = client_hash();
    LoginFactor* factor = find(login.oid);
    if (factor == nullptr) return;
    // A reader must never combine the old address with the new time.
    factor->fresh_until.store(0);
    factor->client_hash.store(here);
    factor->fresh_until.store(until);
    publish({login.oid, factor->reset_count.load(), until});
}

void clear_session_mark() noexcept { publish({}); }

void publish_session() noexcept {
    try {
        own_client_hash = hash_of_client();
    } catch (...) {
        own_client_hash = 0;
    }
    own_session().client_hash.store(own_client_hash);
    publish({});
}

bool has_stepped_up(RoleId login) noexcept {
    const auto mark = mark_of_session();
    return mark.login == login.oid && is_valid(mark, pg::boot_clock());
}

bool has_stepped_up_from_here() noexcept {
    const auto login = pg::session_user();
    if (has_stepped_up(login)) return true;
    const LoginFactor* factor = find(login.oid);
    if (factor == nullptr || pg::boot_clock() >= factor->fresh_until.load()) return false;
    const auto here = client_hash();
    return here != 0 && factor->client_hash.load() == here;
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

struct AcceptedCode {
    std::uint32_t login;
    std::uint64_t step;
    std::int64_t at;  // wall time
};

// Memory is allocated before the lock is taken, because nothing may throw under the lock.
std::vector<AcceptedCode> take_unsaved() {
    std::vector<AcceptedCode> codes;
    codes.reserve(max_factor_logins);
    const pg::SecondFactorLock lock;
    for (auto& factor : factors().logins)
        if (const auto at = std::exchange(factor.unsaved_use, 0); at != 0)
            codes.push_back({factor.login.load(), factor.history.last_step, at});
    return codes;
}

void put_back(const AcceptedCode& code) {
    const pg::SecondFactorLock lock;
    if (LoginFactor* factor = find(code.login)) factor->unsaved_use = std::max(factor->unsaved_use, code.at);
    factors().has_unsaved.store(true);
}

// Returns false if another session has the row locked. A row that no longer exists needs no write.
bool save(const AcceptedCode& code) {
    const RoleId login{code.login};
    const auto row =
        pg::query_row("SELECT 1 FROM jit_access.second_factor WHERE login = $1 FOR UPDATE SKIP LOCKED", {login});
    if (!row) return !pg::query_row("SELECT 1 FROM jit_access.second_factor WHERE login = $1", {login});
    pg::execute(R"sql(
        UPDATE jit_access.second_factor
        SET last_step = greatest(last_step, $2), last_used = $3
        WHERE login = $1)sql",
                {login, static_cast<std::int64_t>(code.step), pg::Instant{code.at}});
    return true;
}

// The same for a recovery code.
bool save(const UsedRecoveryCode& code) {
    const RoleId login{code.login};
    const auto digest = core::to_hex(code.digest);
    const auto row = pg::query_row(R"sql(
        SELECT 1
        FROM jit_access.recovery_code
        WHERE login = $1 AND digest = pg_catalog.decode($2, 'hex')
        FOR UPDATE SKIP LOCKED)sql",
                                   {login, digest});
    if (!row)
        return !pg::query_row(R"sql(
        SELECT 1
        FROM jit_access.recovery_code
        WHERE login = $1 AND digest = pg_catalog.decode($2, 'hex'))sql",
                              {login, digest});
    pg::execute(R"sql(
        UPDATE jit_access.recovery_code
        SET used_at = coalesce(used_at, pg_catalog.clock_timestamp())
        WHERE login = $1 AND digest = pg_catalog.decode($2, 'hex'))sql",
                {login, digest});
    return true;
}

// The accepted codes. Codes that a process was trying when it died are also released here.
std::vector<UsedRecoveryCode> accepted_recovery_codes() {
    std::vector<UsedRecoveryCode> accepted;
    accepted.reserve(factors().recovery_codes.size());
    const pg::SecondFactorLock lock;
    for (auto& code : factors().recovery_codes) {
        if (code.login == 0) continue;
        if (code.tried_by == 0)
            accepted.push_back(code);
        else if (!pg::process_exists(code.tried_by))
            code.login = 0;
    }
    return accepted;
}

void release(const UsedRecoveryCode& saved) {
    const pg::SecondFactorLock lock;
    for (auto& code : factors().recovery_codes)
        if (code.login == saved.login && code.digest == saved.digest) code.login = 0;
}

}  // namespace

// A row that another session has locked is skipped until the next call, so that a transaction left open does not delay
// the rows of other logins. A recovery code is removed from shared memory only after it is marked as used in the table.
void save_to_tables() {
    raise_floor_after_promotion();
    // The flag is cleared first, so that a use after this point sets it again.
    if (!factors().has_unsaved.exchange(false)) return;
    for (const auto& code : take_unsaved()) {
        bool done = false;
        const auto fault = task::run_in_transaction([&] { done = save(code); });
        if (fault || !done) put_back(code);
    }
    for (const auto& code : accepted_recovery_codes()) {
        bool done = false;
        const auto fault = task::run_in_transaction([&] { done = save(code); });
        if (!fault && done)
            release(code);
        else
            factors().has_unsaved.store(true);
    }
}

void delete_dropped_logins() {
    pg::execute(R"sql(
        DELETE FROM jit_access.second_factor
        WHERE login IN (SELECT login
                        FROM jit_access.second_factor f
                        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_authid a WHERE a.oid = f.login)
                        FOR UPDATE SKIP LOCKED))sql");
}

}  // namespace jit::second_factor_state
