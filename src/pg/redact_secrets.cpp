#include "jit_access/pg/redact_secrets.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/server.hpp"

extern "C" {
#include "common/keywords.h"
#include "parser/scanner.h"
}

namespace jit::pg {

namespace {

// Token numbers of the core scanner. They are the same in every parser that uses it (parser/scanner.h), and gram.h,
// which names them, is not installed.
constexpr int string_constant = 261;
constexpr int last_constant = 264;  // U& strings, bit strings and hexadecimal strings are in between
constexpr int decimal_constant = 260;
constexpr int integer_constant = 266;

constexpr std::string_view mask = "'***'";

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Every statement that is not in the cache is searched for these words. The search is fast because it first looks for
// the rarest letter of the word (std::string_view::find uses memchr).
struct Word {
    std::string_view letters;  // lower case
    std::size_t rarest;        // index
};
constexpr Word password{"passw", 4};
constexpr Word step_up{"jit_step_up", 0};
constexpr Word confirm_totp{"jit_confirm_totp", 0};

bool matches_at(std::string_view word, std::string_view text, std::size_t at) noexcept {
    return word.size() <= text.size() - at &&
           std::equal(word.begin(), word.end(), text.data() + at, [](char a, char b) { return a == lower(b); });
}

int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    const char letter = lower(c);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

// Whether the text begins with `digits` hexadecimal digits that are the code point of this character.
bool is_code_point(std::string_view text, std::size_t digits, char expected) noexcept {
    if (text.size() < digits) return false;
    int value = 0;
    for (const char c : text.substr(0, digits)) {
        const int digit = hex_value(c);
        if (digit < 0) return false;
        value = (value * 16 + digit) & 0xFFFFFF;
    }
    return value == expected;
}

// Whether the text after U&" spells the identifier `word`. UESCAPE, which follows the identifier, may choose any escape
// character, so any character is accepted as one: in \XXXX, in \+XXXXXX, or doubled.
bool spells(std::string_view word, std::string_view text) noexcept {
    if (word.empty()) return text.starts_with('"');
    if (text.empty() || text.front() == '"') return false;
    const auto rest = text.substr(1);
    const auto next = word.substr(1);
    return (text.front() == word.front() && spells(next, rest)) ||
           (is_code_point(rest, 4, word.front()) && spells(next, rest.substr(4))) ||
           (rest.starts_with('+') && is_code_point(rest.substr(1), 6, word.front()) && spells(next, rest.substr(7))) ||
           (text.front() == word.front() && rest.starts_with(word.front()) && spells(next, rest.substr(1)));
}

// Whether the text contains an identifier with Unicode escapes (U&"…") that spells the word.
bool spells_with_escapes(const Word& word, std::string_view text) noexcept {
    for (auto at = text.find('&'); at != std::string_view::npos; at = text.find('&', at + 1))
        if (at > 0 && lower(text[at - 1]) == 'u' && at + 1 < text.size() && text[at + 1] == '"' &&
            spells(word.letters, text.substr(at + 2)))
            return true;
    return false;
}

bool mentions(const Word& word, std::string_view text) noexcept {
    const char rarest = word.letters[word.rarest];
    for (const char letter : {rarest, static_cast<char>(rarest - 'a' + 'A')})
        for (auto at = text.find(letter); at != std::string_view::npos; at = text.find(letter, at + 1))
            if (at >= word.rarest && matches_at(word.letters, text, at - word.rarest)) return true;
    return false;
}

bool is_literal(int token, bool include_numbers) noexcept {
    return (token >= string_constant && token <= last_constant) ||
           (include_numbers && (token == decimal_constant || token == integer_constant));
}

// Looks for scheme://user:password@host.
bool holds_uri_with_password(std::string_view text) noexcept {
    for (auto at = text.find("://"); at != std::string_view::npos; at = text.find("://", at + 1)) {
        const auto rest = text.substr(at + 3);
        const auto authority = rest.substr(0, rest.find_first_of("/? \n'"));
        const auto host = authority.rfind('@');
        if (host != std::string_view::npos && authority.substr(0, host).find(':') != std::string_view::npos)
            return true;
    }
    return false;
}

struct Literal {
    std::size_t at;
    std::size_t size;
};

// Returns the literals that the server's scanner finds: strings and, if `include_numbers` is true, numbers.
std::span<const Literal> literals_of(const std::string& text, bool include_numbers) {
    return call([&] {
        auto* literals = static_cast<Literal*>(palloc(sizeof(Literal) * (text.size() / 2 + 1)));
        std::size_t count = 0;
        core_yy_extra_type extra;
        core_yyscan_t scanner = scanner_init(text.c_str(), &extra, &ScanKeywords, ScanKeywordTokens);
        extra.escape_string_warning = false;
        core_YYSTYPE value;
        YYLTYPE location = 0;
        for (int token = 0; (token = core_yylex(&value, &location, scanner)) != 0;)
            if (is_literal(token, include_numbers))
                // The scanner (flex) puts a NUL after the token that it has returned last.
                literals[count++] = {static_cast<std::size_t>(location), strlen(extra.scanbuf + location)};
        scanner_finish(scanner);
        return std::span<const Literal>(literals, count);
    });
}

// Whether a dollar-quoted literal is masked as a whole, or its content is scanned as SQL.
enum class DollarQuotes { mask, scan };

// Which literals are masked.
enum class Extent { uris, strings, strings_and_numbers };

std::string mask_literals(const std::string& text, Extent extent, DollarQuotes dollar_quotes);

// Masks one literal. The tag of a dollar-quoted literal is kept if its content is scanned.
std::string mask_literal(const std::string& literal, Extent extent, DollarQuotes dollar_quotes) {
    if (extent == Extent::uris && !holds_uri_with_password(literal)) return literal;
    if (literal.front() != '$' || dollar_quotes == DollarQuotes::mask) return std::string(mask);
    const auto tag = literal.substr(0, literal.find('$', 1) + 1);
    const auto body = literal.substr(tag.size(), literal.size() - 2 * tag.size());
    return tag + mask_literals(body, extent, DollarQuotes::mask) + tag;
}

std::string mask_literals(const std::string& text, Extent extent, DollarQuotes dollar_quotes) {
    std::span<const Literal> literals;
    try {
        literals = literals_of(text, extent == Extent::strings_and_numbers);
    } catch (const ServerError&) {
        // The text is not valid SQL. The scanner changes no state of the transaction, so the error may be swallowed
        // without a rollback.
        return "***";
    }
    std::string result;
    std::size_t from = 0;
    for (const auto& literal : literals) {
        result.append(text, from, literal.at - from);
        result += mask_literal(text.substr(literal.at, literal.size), extent, dollar_quotes);
        from = literal.at + literal.size;
    }
    return result.append(text, from);
}

// The literal of DO is a code block that should be recorded, so it is scanned instead of masked. The body of CREATE
// FUNCTION can be masked, because it does not run in that statement.
bool is_block(std::string_view statement) noexcept {
    return statement.size() > 2 && lower(statement[0]) == 'd' && lower(statement[1]) == 'o' &&
           (statement[2] == ' ' || statement[2] == '$' || statement[2] == '\n' || statement[2] == '\t');
}

std::optional<std::int64_t> code_given_in;  // start of the command

std::string_view redact(std::string_view statement, Extent extent) {
    // Static, so that the view stays valid and its memory is reused.
    static std::string result;
    result =
        mask_literals(std::string(statement), extent, is_block(statement) ? DollarQuotes::scan : DollarQuotes::mask);
    return result;
}

}  // namespace

bool may_hold_code(std::string_view statement) noexcept {
    for (const auto* word : {&step_up, &confirm_totp})
        if (mentions(*word, statement) || spells_with_escapes(*word, statement)) return true;
    return false;
}

bool may_hold_secrets(std::string_view statement) noexcept {
    return mentions(password, statement) || may_hold_code(statement) || holds_uri_with_password(statement);
}

void note_code_given() noexcept { code_given_in = command_start(); }

bool command_holds_code() noexcept { return code_given_in == command_start() || may_hold_code(command_text()); }

std::string_view redact_secrets(std::string_view statement) {
    if (may_hold_code(statement)) return redact_literals(statement);
    if (mentions(password, statement)) return redact(statement, Extent::strings);
    return holds_uri_with_password(statement) ? redact(statement, Extent::uris) : statement;
}

std::string_view redact_literals(std::string_view statement) { return redact(statement, Extent::strings_and_numbers); }

std::string_view redact_command() {
    return command_holds_code() ? redact_literals(command_text()) : redact_secrets(command_text());
}

}  // namespace jit::pg
