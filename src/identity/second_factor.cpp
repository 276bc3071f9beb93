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
#include "jit_access/record/journal_file.hpp"
#include "jit_access/shared/attempt_counter.hpp"
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
    "jit_step_up($1) \\bind '123456' \\g). Without a second factor, enrol with SELECT * FROM jit_enroll_totp().";

// ---- the key, and the secrets sealed with it ------------------------------------------------------------------------

std::string key_file_name() {
    const std::string configured = settings::second_factor_key_file;
    return configured.empty() ? journal::directory() + "/second_factor_key" : configured;
}

// The file holds one key. Sealing and recovery codes each use a key derived from it, by HMAC with the purpose.
core::Digest derived_key(const char* purpose) {
    const auto name = key_file_name();
    if (const auto fault = key_file::find_problem(name))
        throw Failure(Code::second_factor_unusable, "second factors cannot be used", *fault,
                      "An administrator puts back the file that jit_access.second_factor_key_file names, or, if it "
                      "is lost, has all users enrol again, with jit_reset_totp.");
    auto key = key_file::read(name).value();
    const std::string_view text(purpose);
    const auto derived = pg::ServerHasher().mac(key, {std::as_bytes(std::span(text))});
    pg::wipe(key);
    return derived;
}

// The key is created with the first enrolment. If it is missing later, it is not replaced, because a new key could open
// none of the sealed secrets.
void create_key_if_first() {
    if (!key_file::find_problem(key_file_name())) return;
    if (pg::query_row("SELECT 1 FROM jit_access.second_factor LIMIT 1")) return;
    if (const auto fault = key_file::create(key_file_name()))
        throw Failure(Code::second_factor_unusable, "second factors cannot be used",
                      "\"" + key_file_name() + "\" could not be made: " + *fault + ".",
                      "Put 64 hexadecimal digits into the file that jit_access.second_factor_key_file names, readable "
                      "for the server alone.");
}

// This text is authenticated together with the sealed secret, so that the secret cannot be moved to another login.
std::string seal_context(pg::RoleId login) { return "jit_access second factor of " + std::to_string(login.oid); }

std::string seal(pg::RoleId login, std::span<const std::byte> secret) {
    auto key = derived_key("jit_access seal");
    pg::Nonce nonce{};
    pg::random_bytes(nonce.data(), nonce.size());
    const auto context = seal_context(login);
    const auto sealed = pg::seal(key, nonce, std::as_bytes(std::span(context)), secret);
    pg::wipe(key);
    return core::to_hex(sealed);
}

// Wipes the bytes in its destructor.
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
    const auto context = seal_context(login);
    const auto bytes = core::from_hex(sealed).value_or(std::vector<std::byte>{});
    auto secret = pg::open_sealed(key, std::as_bytes(std::span(context)), bytes);
    pg::wipe(key);
    if (!secret)
        throw Failure(Code::second_factor_unusable, "second factors cannot be used",
                      "The secret of this login does not open with the key in \"" + key_file_name() +
                          "\": it was sealed with another key, or the table was changed.",
                      "An administrator puts back the key that it was sealed with, or has the login enrol again, with "
                      "jit_reset_totp.");
    return Secret(std::move(*secret));
}

// This digest is stored instead of the code. Without the key, nobody can test guessed codes against a copy of the
// table.
core::Digest recovery_digest(pg::RoleId login, const std::string& recovery_code) {
    auto key = derived_key("jit_access recovery codes");
    const auto text = seal_context(login) + " " + recovery_code;
    const auto digest = pg::ServerHasher().mac(key, {std::as_bytes(std::span(text))});
    pg::wipe(key);
    return digest;
}

// ---- the table ------------------------------------------------------------------------------------------------------

struct Row {
    std::optional<std::string> secret;   // sealed, hexadecimal
    std::optional<std::string> pending;  // likewise, but not confirmed yet
    std::uint64_t last_step = 0;
};

// Reads the latest row, not that of the transaction's snapshot, because a secret that was reset must not be accepted in
// a transaction that began before.
std::optional<Row> read_row(pg::RoleId login) {
    const auto row = pg::query_latest(
        R"sql(
            SELECT pg_catalog.encode(secret, 'hex'), pg_catalog.encode(pending, 'hex'), last_step
            FROM jit_access.second_factor
            WHERE login = $1
        )sql",
        {login});
    if (!row) return std::nullopt;
    return Row{row->maybe<std::string>(0), row->maybe<std::string>(1),
               static_cast<std::uint64_t>(row->get<std::int64_t>(2))};
}

bool is_enrolled(pg::RoleId login) {
    const auto row = read_row(login);
    return row && row->secret;
}

// Returns false if the code does not exist or has been used already.
bool mark_recovery_code_used(pg::RoleId login, const core::Digest& digest) {
    constexpr const char* sql = R"sql(
        UPDATE jit_access.recovery_code
        SET used_at = pg_catalog.clock_timestamp()
        WHERE login = $1 AND digest = pg_catalog.decode($2, 'hex') AND used_at IS NULL
    )sql";
    return pg::execute(sql, {login, core::to_hex(digest)}) == 1;
}

// ---- attempts -------------------------------------------------------------------------------------------------------

// Returns the time step (RFC 6238) that has this code; nothing if no step has it.
std::optional<std::uint64_t> matching_step(const std::optional<std::string>& sealed, pg::RoleId login,
                                           const std::string& code) {
    if (!sealed) return std::nullopt;
    const Secret secret = open_sealed(login, *sealed);
    return core::step_of_code(code, second_factor_state::current_step(),
                              [&](std::uint64_t step) { return pg::one_time_code(secret.bytes(), step); });
}

// The first bytes of the sealed secret: its random nonce, which changes with the secret.
second_factor_state::SecretId secret_id(const std::optional<std::string>& sealed) {
    second_factor_state::SecretId id = 0;
    const auto bytes = core::from_hex(sealed.value_or("")).value_or(std::vector<std::byte>{});
    if (bytes.size() >= sizeof id) std::memcpy(&id, bytes.data(), sizeof id);
    return id;
}

// Shared memory does not contain the codes that were accepted before the server started. Until the time steps of those
// codes are over, no one-time code is accepted. This is checked before the attempt is counted.
void check_step_floor(pg::RoleId login, second_factor_state::SecretId secret) {
    const auto now = second_factor_state::current_step();
    const auto floor = second_factor_state::step_floor(login, secret);
    if (now > floor) return;
    const auto seconds = static_cast<std::int64_t>(floor + 1 - now) * core::step_seconds;
    throw Failure(
        Code::second_factor_refused, "no one-time code is accepted yet",
        "The server has just been started, and does not know which codes were used before.",
        "Try again with a new code in at most " + std::to_string(seconds) + " seconds; recovery codes are accepted.");
}

const std::string& require_well_formed(const std::optional<std::string>& code) {
    if (!code || core::kind_of_code(*code) == core::CodeKind::malformed)
        throw Failure(Code::invalid_argument, "invalid code",
                      !code ? "It is NULL." : "It does not have the form of a code.",
                      "A one-time code is six digits, a recovery code four groups of four characters with hyphens "
                      "between them; nothing else, no blanks.");
    return *code;
}

// The messages are the same for a wrong code, for a used code, and for a login without a second factor.
[[noreturn]] void refuse(const Person& me, CodeResult answer) {
    switch (answer) {
        case CodeResult::locked:
            denied_attempt::record_and_throw(
                {Code::second_factor_refused, "no code of \"" + me.name + "\" is accepted for a while",
                 "There were too many wrong codes.",
                 "Wait up to an hour, or ask an administrator to look at jit_access.second_factors and "
                 "call jit_reset_totp."});
        case CodeResult::no_room:
            denied_attempt::record_and_throw(
                {Code::second_factor_refused, "no code can be accepted",
                 "There is no space left to store that it was used: since the start " +
                     std::to_string(max_factor_logins) +
                     " logins have used codes, or the worker has not stored the recovery codes.",
                 "Ask an administrator to look at jit_access.health; a restart makes room."});
        default:
            denied_attempt::record_and_throw(
                {Code::second_factor_refused, "the code of \"" + me.name + "\" is not accepted",
                 "It is wrong, was used already, or there is no second factor that is confirmed.",
                 "Wait for the next code of your authenticator: each counts once."});
    }
}

// Records a successful step-up outside of the transaction, like refusals. Throws if the journal cannot store it.
void record_success() {
    const recorder::Statement statement{.key = &stage_names, .tag = "SELECT", .text = pg::redact_command()};
    recorder::begin(enforcement::no_grants(), statement, pg::both_clocks());
    recorder::complete(statement.key, 1);
    wake_worker();
}

std::uint32_t confirmed_in = 0;  // local id of the transaction that created the recovery codes

// The worker marks recovery codes as used, and it cannot see codes that an open transaction has created.
void check_codes_committed() {
    if (confirmed_in != pg::local_transaction_id()) return;
    throw Failure(Code::wrong_state, "recovery codes are not accepted yet", "They were made in this transaction.",
                  "Commit it first.");
}

// The table is read while the code is reserved in shared memory, so that two sessions cannot use one code.
void use_recovery_code(const Person& me, const std::string& code) {
    check_codes_committed();
    const auto digest = recovery_digest(me.role, code);
    const auto answer = second_factor_state::try_recovery_code(
        me.role, digest, [&] { return mark_recovery_code_used(me.role, digest); });
    if (answer != CodeResult::accepted) refuse(me, answer);
}

std::string account_name(const Person& me) {
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
                    {login, core::to_hex(recovery_digest(login, codes.back()))});
    }
    return codes;
}

std::int64_t enrolment_command_start = 0;

// SELECT (jit_enroll_totp()).* calls the function once for each column; all calls show the same secret.
bool is_repeated_call(const std::optional<Row>& row) noexcept {
    return enrolment_command_start == pg::command_start() && row && row->pending;
}

Enrolment make_enrolment(const Person& me, std::span<const std::byte> secret) {
    const auto uri = pg::otpauth_uri("jit_access", account_name(me), secret);
    return {uri, pg::qr_code(uri, pg::is_database_utf8() ? pg::Drawing::half_blocks : pg::Drawing::ascii)};
}

}  // namespace

std::string_view to_string(Stage stage) noexcept { return stage_names.at(static_cast<std::size_t>(stage)); }

void check_stages(const pg::TextArray& stages) {
    for (const auto& stage : stages)
        if (std::find(stage_names.begin(), stage_names.end(), stage) == stage_names.end())
            throw Failure(Code::invalid_argument, "invalid second_factor",
                          "\"" + pg::excerpt(stage) + "\" is not one of its stages.",
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
    const auto row = read_row(me.role);
    if (row && row->secret && !second_factor_state::has_stepped_up(me.role))
        throw Failure(
            Code::wrong_state, "\"" + me.name + "\" has a second factor",
            "Enrolling another authenticator needs a code of the enrolled one, or a reset by an administrator.",
            "Call jit_step_up first, or ask an administrator to call jit_reset_totp.");
    principal::require_own_statement(me, origin, "a second factor is enrolled");
    if (is_repeated_call(row)) return make_enrolment(me, open_sealed(me.role, *row->pending).bytes());
    if (!attempt_counter::admit_request())
        throw Failure(
            Code::limit_exceeded, "too many enrolments within a minute",
            "Requests count as well; jit_access.attempt_rate is " + std::to_string(settings::attempt_rate) + ".",
            "Wait a minute.");
    create_key_if_first();
    std::array<std::byte, 20> secret{};  // the length that RFC 4226 recommends
    pg::random_bytes(secret.data(), secret.size());
    const auto sealed = seal(me.role, secret);
    if (!second_factor_state::register_secret(me.role, secret_id(sealed))) refuse(me, CodeResult::no_room);
    pg::execute(
        R"sql(
            INSERT INTO jit_access.second_factor (login, login_name, pending, enrolled_at)
            VALUES ($1, $2, pg_catalog.decode($3, 'hex'), pg_catalog.clock_timestamp())
            ON CONFLICT (login) DO UPDATE
            SET pending = excluded.pending, login_name = excluded.login_name, enrolled_at = excluded.enrolled_at
        )sql",
        {me.role, me.name, sealed});
    control_event::write("second factor enrolled", std::nullopt, me.name);
    enrolment_command_start = pg::command_start();
    auto enrolment = make_enrolment(me, secret);
    pg::wipe(secret);
    return enrolment;
}

pg::TextArray confirm(const std::optional<std::string>& code, const principal::Origin& origin) {
    const auto me = principal::caller();
    if (core::kind_of_code(require_well_formed(code)) != core::CodeKind::one_time)
        throw Failure(Code::invalid_argument, "invalid code", "It is not a one-time code.",
                      "Confirm with the six digits that your authenticator shows.");
    const auto row = read_row(me.role);
    if (!row || !row->pending)
        throw Failure(Code::wrong_state, "there is no second factor to confirm", {},
                      "Enrol one with SELECT * FROM jit_enroll_totp().");
    principal::require_own_statement(me, origin, "a second factor is confirmed");
    const auto secret = secret_id(row->pending);
    check_step_floor(me.role, secret);
    const auto answer =
        second_factor_state::try_code(me.role, secret, matching_step(row->pending, me.role, *code), row->last_step);
    if (answer != CodeResult::accepted) refuse(me, answer);
    const auto confirmed = pg::execute(
        R"sql(
            UPDATE jit_access.second_factor
            SET secret = pending, pending = NULL, confirmed_at = pg_catalog.clock_timestamp()
            WHERE login = $1 AND pending = pg_catalog.decode($2, 'hex')
        )sql",
        {me.role, *row->pending});
    if (confirmed == 0)
        throw Failure(Code::wrong_state, "there is no second factor to confirm",
                      "Another second factor was enrolled meanwhile.", "Confirm with a code of that one.");
    confirmed_in = pg::local_transaction_id();
    auto codes = make_recovery_codes(me.role);
    control_event::write("second factor confirmed", std::nullopt, me.name);
    return codes;
}

pg::Instant step_up(const std::optional<std::string>& code, const principal::Origin& origin) {
    const auto me = principal::caller();
    const auto& given = require_well_formed(code);
    principal::require_own_statement(me, origin, "a session steps up");
    if (core::kind_of_code(given) == core::CodeKind::recovery) {
        use_recovery_code(me, given);
    } else {
        const auto row = read_row(me.role).value_or(Row{});
        const auto secret = secret_id(row.secret);
        if (row.secret) check_step_floor(me.role, secret);
        const auto step = matching_step(row.secret, me.role, given);
        const auto answer = second_factor_state::try_code(me.role, secret, step, row.last_step);
        if (answer != CodeResult::accepted) refuse(me, answer);
    }
    record_success();
    const auto lifetime_us = std::int64_t{settings::second_factor_lifetime} * 1'000'000;
    second_factor_state::mark_session(me.role, pg::boot_clock() + lifetime_us);
    return {pg::wall_clock() + lifetime_us};
}

void reset(const std::optional<std::string>& login, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    if (!login) throw Failure(Code::invalid_argument, "invalid login", "It is NULL.", "Name a login.");
    const auto target = pg::find_role(*login);
    if (!target)
        throw Failure(Code::invalid_argument, "invalid login", "There is no role \"" + pg::excerpt(*login) + "\".",
                      "Names are matched exactly, without quotes and without folding to lower case.");
    if (is_enrolled(me.role) && !second_factor_state::has_stepped_up(me.role))
        throw Failure(Code::second_factor_required, "a second factor is required",
                      "An administrator who has a second factor needs it to reset one.", how_to_step_up);
    principal::require_own_statement(me, origin, "a second factor is reset");
    const auto deleted = pg::execute("DELETE FROM jit_access.second_factor WHERE login = $1", {*target});
    second_factor_state::reset(*target);
    control_event::write("second factor reset", std::nullopt, me.name,
                         {{"login", *login}, {"was", deleted != 0 ? "enrolled" : "not enrolled"}});
}

}  // namespace jit::second_factor
