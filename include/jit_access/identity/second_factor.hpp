// The second factor: one-time codes by time (RFC 6238) of an authenticator that the person has enrolled.
//
//      jit_enroll_totp()       makes a secret and shows it, once
//      jit_confirm_totp(code)  the first right code: it counts from here on; answers the recovery codes, once
//      jit_step_up(code)       this session has stepped up, for jit_access.second_factor_lifetime
//
// Templates say where they demand it; what they guard asks require(), which is all that the other stages know of this.
// The secret is sealed with a key that is in a file outside of the database, and bound to its login: nobody can open it
// elsewhere, or put his own in another's row. Recovery codes are kept as MACs by the same key. What was accepted and
// how often somebody was wrong is kept by second_factor_state.hpp.
//
// Whose second factor is that of who has logged in. All of it is called by statements of his own (principal.hpp), so
// that nothing he runs enrols in his name or uses up his attempts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jit_access/identity/principal.hpp"

namespace jit::second_factor {

enum class Stage : std::uint8_t {
    request,     // by who asks for a grant, or adds to it
    approval,    // by who decides for it
    activation,  // by the holder: approved, it waits until he says jit_activate
    first_use    // by who uses it, in each session
};
[[nodiscard]] std::string_view to_string(Stage stage) noexcept;

// Where a template demands it, as it was given; throws invalid_argument.
void check_stages(const pg::TextArray& stages);
[[nodiscard]] bool demands(const pg::TextArray& stages, Stage stage) noexcept;

// Throws second_factor_required where it is demanded and this session has not stepped up as this person.
void require(const principal::Person& me, Stage stage, const pg::TextArray& stages);

struct Enrolment {
    std::string uri;
    std::string qr;
};
Enrolment enroll(const principal::Origin& origin);
pg::TextArray confirm(const std::optional<std::string>& code, const principal::Origin& origin);
pg::Instant step_up(const std::optional<std::string>& code, const principal::Origin& origin);  // until when
// By an administrator: for a login that has lost both authenticator and recovery codes.
void reset(const std::optional<std::string>& login, const principal::Origin& origin);

}  // namespace jit::second_factor
