// The second factor: time-based one-time codes (RFC 6238) from an authenticator that the person has enrolled.
//
//      jit_enroll_totp()       makes a secret and shows it, once
//      jit_confirm_totp(code)  the first correct code enables the factor; returns the recovery codes, once
//      jit_step_up(code)       marks this session as stepped up, for jit_access.second_factor_lifetime
//
// A template says at which stages it demands a second factor. The code that implements a stage only calls require(). A
// second factor belongs to the session user. Each function below must be called by a statement that this user has sent
// (principal::require_own_statement), so that code of another author, run by the user, can neither enrol in the user's
// name nor use up the user's attempts.
//
// The secret is sealed with a key in a file outside of the database, and bound to its login. It can neither be opened
// without that file nor be moved to the row of another login. Recovery codes are stored as MACs with the same key.
// Accepted codes and failed attempts are counted in shared memory (second_factor_state.hpp), outside of transactions.
//
// Needs a transaction in the control database. Failures: second_factor_required, second_factor_refused,
// second_factor_unusable (the key file), wrong_state, invalid_argument.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jit_access/identity/principal.hpp"

namespace jit::second_factor {

enum class Stage : std::uint8_t {
    request,     // by the requester, including for an extension
    approval,    // by the approver
    activation,  // by the holder: an approved grant waits for jit_activate
    first_use    // by the user of the grant, in each session
};
[[nodiscard]] std::string_view to_string(Stage stage) noexcept;

// Throws invalid_argument unless all of these are names of stages.
void check_stages(const pg::TextArray& stages);
[[nodiscard]] bool demands(const pg::TextArray& stages, Stage stage) noexcept;

// Throws second_factor_required if these stages include this one and the session has not stepped up as this person.
void require(const principal::Person& me, Stage stage, const pg::TextArray& stages);

struct Enrolment {
    std::string uri;  // otpauth://, for the authenticator
    std::string qr;   // the same as a QR code in text
};
// Creates a secret. If the same command has already created one, shows that one.
Enrolment enroll(const principal::Origin& origin);
// Returns the recovery codes.
pg::TextArray confirm(const std::optional<std::string>& code, const principal::Origin& origin);
// Returns when the step-up expires.
pg::Instant step_up(const std::optional<std::string>& code, const principal::Origin& origin);
// By an administrator, for a login whose authenticator and recovery codes are lost.
void reset(const std::optional<std::string>& login, const principal::Origin& origin);

}  // namespace jit::second_factor
