// Every error that jit_access raises, as one table. Each has a SQLSTATE of class JA.
//
// A Failure may be thrown anywhere. The entry point turns it into a PostgreSQL ERROR after every C++ object has been
// destroyed (pg/server.hpp). As in PostgreSQL's message style, `message` starts in lower case and has no full stop;
// `detail` (why) and `hint` (what to do next) are complete sentences.
#pragma once

#include "jit_access/core/zone.hpp"

#include <array>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace jit::core {

enum class Code : std::uint8_t {
    invalid_argument,
    unknown_template,
    unknown_request,
    not_permitted,
    wrong_state,
    own_request,
    duplicate_template,
    privilege_refused,
    limit_exceeded,
    grant_over,
    grant_unconfirmed,
    journal_full,
    journal_failed,
    not_loaded,
    live_grants,
    guarded,
    not_here,
    not_own_statement,
    second_factor_required,
    second_factor_refused,
    second_factor_unusable,
    unreviewed,
    not_from_here,
};

struct CodeEntry {
    Code code;
    std::string_view sqlstate;
    std::string_view name;
    std::string_view meaning;
};

// docs/reference.md repeats this table; a test compares the two.
inline constexpr std::array codes{
    CodeEntry{Code::invalid_argument, "JA001", "invalid_argument", "an argument is missing, malformed or out of range"},
    CodeEntry{Code::unknown_template, "JA002", "unknown_template", "no template has this name, or you may not use it"},
    CodeEntry{Code::unknown_request, "JA003", "unknown_request", "no request has this id, or you may not see it"},
    CodeEntry{Code::not_permitted, "JA004", "not_permitted", "the policy does not let this person do this"},
    CodeEntry{Code::wrong_state, "JA005", "wrong_state", "the request is in a state that does not allow this"},
    CodeEntry{Code::own_request, "JA006", "own_request", "cannot decide about your own request"},
    CodeEntry{Code::duplicate_template, "JA007", "duplicate_template", "a template of this name exists"},
    CodeEntry{Code::privilege_refused, "JA008", "privilege_refused", "a template may not hold this privilege"},
    CodeEntry{Code::limit_exceeded, "JA009", "limit_exceeded", "a cap of the template or of the server is reached"},
    CodeEntry{Code::grant_over, "JA010", "grant_over", "the grant this session relies on has ended"},
    CodeEntry{Code::grant_unconfirmed, "JA011", "grant_unconfirmed", "the running server has not confirmed this grant"},
    CodeEntry{Code::journal_full, "JA012", "journal_full", "the journal has no room, so the use cannot be recorded"},
    CodeEntry{Code::journal_failed, "JA013", "journal_failed",
              "the journal cannot be written, so the use cannot be recorded"},
    CodeEntry{Code::not_loaded, "JA014", "not_loaded", "the library is not in shared_preload_libraries"},
    CodeEntry{Code::live_grants, "JA015", "live_grants", "grants are live, so this object has to stay"},
    CodeEntry{Code::guarded, "JA016", "guarded", "not allowed to a session that uses a grant, or to a managed role"},
    CodeEntry{Code::not_here, "JA017", "not_here",
              "not in this database, on a standby, or in this kind of transaction"},
    CodeEntry{Code::not_own_statement, "JA018", "not_own_statement",
              "functions that give access must be called by a statement that the client itself has sent"},
    CodeEntry{Code::second_factor_required, "JA019", "second_factor_required",
              "a second factor is demanded, and the session has not stepped up"},
    CodeEntry{Code::second_factor_refused, "JA020", "second_factor_refused",
              "the code is not right, was used, or none is accepted just now"},
    CodeEntry{Code::second_factor_unusable, "JA021", "second_factor_unusable",
              "the key of the second factors is missing, or does not open this one"},
    CodeEntry{Code::unreviewed, "JA022", "unreviewed", "a break-glass has not been reviewed yet"},
    CodeEntry{Code::not_from_here, "JA023", "not_from_here",
              "a condition of the template (network, TLS, authentication, database) does not hold"},
};

[[nodiscard]] constexpr const CodeEntry& entry(Code code) noexcept { return codes[static_cast<std::size_t>(code)]; }

static_assert(
    [] {
        for (std::size_t i = 0; i < codes.size(); ++i)
            if (static_cast<std::size_t>(codes[i].code) != i) return false;
        return true;
    }(),
    "the table is in the order of the enumeration");

class Failure final : public std::exception {
public:
    Failure(Code code, std::string message, std::string detail = {}, std::string hint = {})
        : code(code), message(std::move(message)), detail(std::move(detail)), hint(std::move(hint)) {}

    [[nodiscard]] const char* what() const noexcept override { return message.c_str(); }

    Code code;
    std::string message;
    std::string detail;
    std::string hint;
};

// The failure for a refused argument. Its message is "invalid <what>"; the detail says why, and the hint says what to
// pass instead.
[[nodiscard]] inline Failure invalid(const std::string& what, const std::string& detail, const std::string& hint = {}) {
    return {Code::invalid_argument, "invalid " + what, detail, hint};
}

}  // namespace jit::core
