#include "jit_access/identity/second_factor.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "jit_access/core/chain.hpp"
#include "jit_access/core/duration.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/totp.hpp"
#include "jit_access/enforcement/denied_attempt.hpp"
#include "jit_access/enforcement/recorder.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/digest.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/oath.hpp"
#include "jit_access/pg/qr_code.hpp"
#include "jit_access/pg/redact_secrets.hpp"
#include "jit_access/pg/seal.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/record/journal.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/key_file.hpp"
#include "jit_access/shared/second_factor_state.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::second_factor {

using core::Code;
using core::Failure;
using principal::Person;
using second_factor_state::CodeResult;

namespace {

constexpr std::array<std::string_view, 4> stage_names{"request", "approval", "activation", "first_use"};

constexpr const char* how_to_step_up =
    "Call SELECT jit_step_up($1) with a code of your authenticator or a recovery code, then try again (in psql: SELECT "
    "jit_step_up($1) \\bind '123456' \\g). Who has no second factor yet enrols with SELECT * FROM jit_enroll_totp().";

// ---- the key, and what is sealed with it ----------------------------------------------------------------------------

std::string file_of_key() {
    const std::string named = settings::second_factor_key_file;
    return named.empty() ? journal::directory() + "/second_factor_key" : named;
}

// Two keys of one, since they serve different ends.
core::Digest derived_key(const char* purpose) {
    const auto name = file_of_key();
    if (const auto fault = key_file::find_problem(name))
        throw Failure(
            Code::second_factor_unusable, "second factors cannot be used", *fault,
            "An administrator puts back the file that jit_access.second_factor_key_file names, or where it is "
            "lost has everybody enrol again, with jit_reset_totp.");
    auto key = key_file::read(name).value();
    const std::string_view text(purpose);
    const auto derived = pg::ServerHasher().mac(key, {std::as_bytes(std::span(text))});
    pg::wipe(key);
    return derived;
}

// Made with the first enrolment. Where there are some it is lost, and a new one would open none of them.
void make_key_once() {
    if (!key_file::find_problem(file_of_key())) return;
    if (pg::query_row("SELECT 1 FROM jit_access.second_factor LIMIT 1")) return;
    if (const auto fault = key_file::create(file_of_key()))
        throw Failure(Code::second_factor_unusable, "second factors cannot be used",
                      "\"" + file_of_key() + "\" could not be made: " + *fault + ".",
                      "Put 64 hexadecimal digits into the file that jit_access.second_factor_key_file names, readable "
                      "for the server alone.");
}

std::string bound_to(pg::RoleId login) { return "jit_access second factor of " + std::to_string(login.oid); }

std::string seal(pg::RoleId login, std::span<const std::byte> secret) {
    auto key = derived_key("jit_access seal");
    pg::Nonce nonce{};
    pg::random_bytes(nonce.data(), nonce.size());
    const auto whose = bound_to(login);
    const auto sealed = pg::seal(key, nonce, std::as_bytes(std::span(whose)), secret);
    pg::wipe(key);
    return core::to_hex(sealed);
}

class Secret {
public:
    explicit Secret(std::vector<std::byte>&& bytes) noexcept : bytes_(std::move(bytes)) {}
    ~Secret() { pg::wipe(bytes_); }
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

private:
    std::vector<std::byte> bytes_;
};

Secret open_sealed(pg::RoleId login, const std::string& sealed) {
    auto key = derived_key("jit_access seal");
    const auto whose = bound_to(login);
    const auto bytes = core::from_hex(sealed).value_or(std::vector<std::byte>{});
    auto secret = pg::open_sealed(key, std::as_bytes(std::span(whose)), bytes);
    pg::wipe(key);
    if (!secret)
        throw Failure(Code::second_factor_unusable, "second factors cannot be used",
                      "The secret of this login does not open with the key in \"" + file_of_key() +
                          "\": it was sealed with another one, or the table was changed.",
                      "An administrator puts back the key that it was sealed with, or has the login enrol again, with "
                      "jit_reset_totp.");
    return Secret(std::move(*secret));
}

core::Digest digest_of(pg::RoleId login, const std::string& recovery_code) {
    auto key = derived_key("jit_access recovery codes");
    const auto text = bound_to(login) + " " + recovery_code;
    const auto digest = pg::ServerHasher().mac(key, {std::as_bytes(std::span(text))});
    pg::wipe(key);
    return digest;
}

// ---- the table ------------------------------------------------------------------------------------------------------

struct Row {
    std::optional<std::string> secret;   // sealed, hexadecimal
    std::optional<std::string> pending;  // the same, not confirmed yet
    std::uint64_t last_step = 0;
};

// As it is now, whatever snapshot the transaction has: a secret that was reset counts nowhere any more.
std::optional<Row> look_up(pg::RoleId login) {
    const auto row = pg::query_latest(
        "SELECT pg_catalog.encode(secret, 'hex'), pg_catalog.encode(pending, 'hex'), last_step FROM "
        "jit_access.second_factor WHERE login = $1",
        {login});
    if (!row) return std::nullopt;
    return Row{row->maybe<std::string>(0), row->maybe<std::string>(1),
               static_cast<std::uint64_t>(row->get<std::int64_t>(2))};
}

bool is_enrolled(pg::RoleId login) {
    const auto row = look_up(login);
    return row && row->secret;
}

// Only one that was not.
bool mark_as_used(pg::RoleId login, const core::Digest& digest) {
    return pg::execute(
               "UPDATE jit_access.recovery_code SET used_at = pg_catalog.clock_timestamp() WHERE login = $1 AND digest "
               "= pg_catalog.decode($2, 'hex') AND used_at IS NULL",
               {login, core::to_hex(digest)}) == 1;
}

// ---- attempts -------------------------------------------------------------------------------------------------------

std::optional<std::uint64_t> step_of(const std::optional<std::string>& sealed, pg::RoleId login,
                                     const std::string& code) {
    if (!sealed) return std::nullopt;
    const Secret secret = open_sealed(login, *sealed);
    return core::step_of_code(code, second_factor_state::current_step(),
                              [&](std::uint64_t step) { return pg::one_time_code(secret.bytes(), step); });
}

// Random, and the same as long as the secret is.
second_factor_state::SecretId id_of(const std::optional<std::string>& sealed) {
    second_factor_state::SecretId id = 0;
    const auto bytes = core::from_hex(sealed.value_or("")).value_or(std::vector<std::byte>{});
    if (bytes.size() >= sizeof id) std::memcpy(&id, bytes.data(), sizeof id);
    return id;
}

// What was shown before the start may have been used before it. Said before anything is counted.
void check_started(pg::RoleId login, second_factor_state::SecretId secret) {
    const auto now = second_factor_state::current_step();
    const auto floor = second_factor_state::step_floor(login, secret);
    if (now > floor) return;
    const auto seconds = static_cast<std::int64_t>(floor + 1 - now) * core::step_seconds;
    throw Failure(Code::second_factor_refused, "no one-time code is accepted yet",
                  "The server has just been started, and does not know which codes were used before.",
                  "Try again with a code of then, in " + std::to_string(seconds) +
                      " seconds at most; recovery codes are accepted.");
}

const std::string& required(const std::optional<std::string>& code) {
    if (!code || core::kind_of_code(*code) == core::CodeKind::malformed)
        throw Failure(Code::invalid_argument, "invalid code", !code ? "It is NULL." : "It has not the form of one.",
                      "A one-time code is six digits, a recovery code four groups of four characters with hyphens "
                      "between them; nothing else, no blanks.");
    return *code;
}

[[noreturn]] void refuse(const Person& me, CodeResult answer) {
    switch (answer) {
        case CodeResult::locked:
            denied_attempt::refuse(
                {Code::second_factor_refused, "no code of \"" + me.name + "\" is accepted for a while",
                 "There were too many wrong ones.",
                 "Wait, an hour at most, or ask an administrator to look at jit_access.second_factors and "
                 "call jit_reset_totp."});
        case CodeResult::no_room:
            denied_attempt::refuse(
                {Code::second_factor_refused, "no code can be accepted",
                 "There is no room to note that it was used: since the start " + std::to_string(max_factor_logins) +
                     " logins have used codes, or the worker has not written down the recovery codes.",
                 "Ask an administrator to look at jit_access.health; a restart makes room."});
        default:
            denied_attempt::refuse({Code::second_factor_refused, "the code of \"" + me.name + "\" is not accepted",
                                    "It is wrong, was used already, or there is no second factor that is confirmed.",
                                    "Wait for the next code of your authenticator: each counts once."});
    }
}

// On the record, outside of the transaction, as the refusals are. Throws where that is not possible.
void record_success() {
    const auto command = pg::command_text();
    const recorder::Statement statement{.key = &stage_names, .tag = "SELECT", .text = pg::redact_secrets(command)};
    recorder::begin(enforcement::without_grant(), statement, pg::both_clocks());
    recorder::complete(statement.key, 1);
    wake_worker();
}

std::uint32_t confirmed_in = 0;  // transaction of this session

// The worker cannot write down what is not committed.
void check_committed() {
    if (confirmed_in != pg::local_transaction_id()) return;
    throw Failure(Code::wrong_state, "recovery codes are not accepted yet", "They were made in this transaction.",
                  "Commit it first.");
}

void use_recovery_code(const Person& me, const std::string& code) {
    check_committed();
    const auto digest = digest_of(me.role, code);
    const auto answer =
        second_factor_state::try_recovery_code(me.role, digest, [&] { return mark_as_used(me.role, digest); });
    if (answer != CodeResult::accepted) refuse(me, answer);
}

std::string account_of(const Person& me) {
    const auto cluster = pg::cluster_name();
    return cluster.empty() ? me.name : me.name + "@" + cluster;
}

pg::TextArray make_recovery_codes(pg::RoleId login) {
    pg::execute("DELETE FROM jit_access.recovery_code WHERE login = $1", {login});
    pg::TextArray codes;
    for (std::size_t i = 0; i < core::recovery_codes; ++i) {
        std::array<std::byte, core::recovery_bytes> random{};
        pg::random_bytes(random.data(), random.size());
        codes.push_back(core::recovery_code(random));
        pg::execute("INSERT INTO jit_access.recovery_code (login, digest) VALUES ($1, pg_catalog.decode($2, 'hex'))",
                    {login, core::to_hex(digest_of(login, codes.back()))});
    }
    return codes;
}

std::int64_t command_of_enrolment = 0;

// SELECT (jit_enroll_totp()).* calls it once for each column.
bool is_called_again(const std::optional<Row>& row) noexcept {
    return command_of_enrolment == pg::command_start() && row && row->pending;
}

Enrolment show(const Person& me, std::span<const std::byte> secret) {
    const auto uri = pg::otpauth_uri("jit_access", account_of(me), secret);
    return {uri, pg::qr_code(uri, pg::is_database_utf8() ? pg::Drawing::half_blocks : pg::Drawing::ascii)};
}

}  // namespace

std::string_view to_string(Stage stage) noexcept { return stage_names.at(static_cast<std::size_t>(stage)); }

void check_stages(const pg::TextArray& stages) {
    for (const auto& stage : stages)
        if (std::find(stage_names.begin(), stage_names.end(), stage) == stage_names.end())
            throw Failure(Code::invalid_argument, "invalid second_factor",
                          "\"" + pg::excerpt(stage) + "\" is none of its stages.",
                          "The stages are request, approval, activation and first_use.");
}

bool demands(const pg::TextArray& stages, Stage stage) noexcept {
    return std::find(stages.begin(), stages.end(), to_string(stage)) != stages.end();
}

void require(const Person& me, Stage stage, const pg::TextArray& stages) {
    if (!demands(stages, stage) || second_factor_state::has_stepped_up(me.role)) return;
    throw Failure(Code::second_factor_required, "a second factor is required",
                  "The template demands it at " + std::string(to_string(stage)) + ", and this session of \"" + me.name +
                      "\" has not stepped up, or too long ago.",
                  how_to_step_up);
}

Enrolment enroll(const principal::Origin& origin) {
    const auto me = principal::caller();
    const auto row = look_up(me.role);
    if (row && row->secret && !second_factor_state::has_stepped_up(me.role))
        throw Failure(
            Code::wrong_state, "\"" + me.name + "\" has a second factor",
            "Another authenticator is enrolled with a code of the one that is, or by an administrator's leave.",
            "Call jit_step_up first, or ask an administrator to call jit_reset_totp.");
    principal::require_own_statement(me, origin, "a second factor is enrolled");
    if (is_called_again(row)) return show(me, open_sealed(me.role, *row->pending).bytes());
    make_key_once();
    std::array<std::byte, 20> secret{};  // as much as RFC 4226 recommends
    pg::random_bytes(secret.data(), secret.size());
    const auto sealed = seal(me.role, secret);
    if (!second_factor_state::register_secret(me.role, id_of(sealed))) refuse(me, CodeResult::no_room);
    pg::execute(
        "INSERT INTO jit_access.second_factor (login, login_name, pending, enrolled_at) VALUES ($1, $2, "
        "pg_catalog.decode($3, 'hex'), pg_catalog.clock_timestamp()) ON CONFLICT (login) DO UPDATE SET pending = "
        "excluded.pending, login_name = excluded.login_name, enrolled_at = excluded.enrolled_at",
        {me.role, me.name, sealed});
    control_event::write("second factor enrolled", std::nullopt, me.name);
    command_of_enrolment = pg::command_start();
    auto shown = show(me, secret);
    pg::wipe(secret);
    return shown;
}

pg::TextArray confirm(const std::optional<std::string>& code, const principal::Origin& origin) {
    const auto me = principal::caller();
    if (core::kind_of_code(required(code)) != core::CodeKind::one_time)
        throw Failure(Code::invalid_argument, "invalid code", "It is no one-time code.",
                      "Confirm with the six digits that your authenticator shows.");
    const auto row = look_up(me.role);
    if (!row || !row->pending)
        throw Failure(Code::wrong_state, "there is no second factor to confirm", {},
                      "Enrol one with SELECT * FROM jit_enroll_totp().");
    principal::require_own_statement(me, origin, "a second factor is confirmed");
    const auto secret = id_of(row->pending);
    check_started(me.role, secret);
    const auto answer =
        second_factor_state::try_code(me.role, secret, step_of(row->pending, me.role, *code), row->last_step);
    if (answer != CodeResult::accepted) refuse(me, answer);
    const auto confirmed = pg::execute(
        "UPDATE jit_access.second_factor SET secret = pending, pending = NULL, confirmed_at = "
        "pg_catalog.clock_timestamp() WHERE login = $1 AND pending = pg_catalog.decode($2, 'hex')",
        {me.role, *row->pending});
    if (confirmed == 0)
        throw Failure(Code::wrong_state, "there is no second factor to confirm", "Another one was enrolled meanwhile.",
                      "Confirm with a code of that one.");
    confirmed_in = pg::local_transaction_id();
    auto codes = make_recovery_codes(me.role);
    control_event::write("second factor confirmed", std::nullopt, me.name);
    return codes;
}

pg::Instant step_up(const std::optional<std::string>& code, const principal::Origin& origin) {
    const auto me = principal::caller();
    const auto& given = required(code);
    principal::require_own_statement(me, origin, "a session steps up");
    if (core::kind_of_code(given) == core::CodeKind::recovery) {
        use_recovery_code(me, given);
    } else {
        const auto row = look_up(me.role).value_or(Row{});
        const auto secret = id_of(row.secret);
        if (row.secret) check_started(me.role, secret);
        const auto step = step_of(row.secret, me.role, given);
        const auto answer = second_factor_state::try_code(me.role, secret, step, row.last_step);
        if (answer != CodeResult::accepted) refuse(me, answer);
    }
    record_success();
    const auto lasts = std::int64_t{settings::second_factor_lifetime} * 1'000'000;
    second_factor_state::mark_session(me.role, pg::boot_clock() + lasts);
    return {pg::wall_clock() + lasts};
}

void reset(const std::optional<std::string>& login, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    if (!login) throw Failure(Code::invalid_argument, "invalid login", "It is NULL.", "Name a login.");
    const auto whose = pg::find_role(*login);
    if (!whose)
        throw Failure(Code::invalid_argument, "invalid login", "There is no role \"" + pg::excerpt(*login) + "\".",
                      "Names are matched exactly, without quotes and without folding to lower case.");
    if (is_enrolled(me.role) && !second_factor_state::has_stepped_up(me.role))
        throw Failure(Code::second_factor_required, "a second factor is required",
                      "Who has one himself needs it to reset another's, or his own.", how_to_step_up);
    principal::require_own_statement(me, origin, "a second factor is reset");
    const auto gone = pg::execute("DELETE FROM jit_access.second_factor WHERE login = $1", {*whose});
    second_factor_state::reset(*whose);
    control_event::write("second factor reset", std::nullopt, me.name,
                         {{"login", *login}, {"was", gone != 0 ? "enrolled" : "not enrolled"}});
}

}  // namespace jit::second_factor
