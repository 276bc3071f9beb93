#include "jit_access/pg/redact_secrets.hpp"

#include <algorithm>
#include <span>

#include "jit_access/pg/server.hpp"

extern "C" {
#include "common/keywords.h"
#include "parser/scanner.h"
}

namespace jit::pg {

namespace {

// parser/scanner.h: the numbers of the scanner's own tokens are the same in every parser.
constexpr int string_constant = 261;
constexpr int last_constant = 264;  // with U&, bits and hexadecimal bits in between
constexpr int decimal_constant = 260;
constexpr int integer_constant = 266;

constexpr std::string_view mask = "'***'";

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Whatever is not known already is searched, so it is for the rarest letter of the word first.
struct Word {
    std::string_view letters;  // lower case
    std::size_t rarest;
};
constexpr Word password{"passw", 4};
constexpr Word step_up{"jit_step_up", 0};
constexpr Word confirm_totp{"jit_confirm_totp", 0};

bool stands_at(std::string_view word, std::string_view text, std::size_t at) noexcept {
    return word.size() <= text.size() - at &&
           std::equal(word.begin(), word.end(), text.data() + at, [](char a, char b) { return a == lower(b); });
}

bool speaks_of(const Word& word, std::string_view text) noexcept {
    const char rarest = word.letters[word.rarest];
    for (const char letter : {rarest, static_cast<char>(rarest - 'a' + 'A')})
        for (auto at = text.find(letter); at != std::string_view::npos; at = text.find(letter, at + 1))
            if (at >= word.rarest && stands_at(word.letters, text, at - word.rarest)) return true;
    return false;
}

bool is_all_hidden(std::string_view text) noexcept { return speaks_of(password, text) || may_hold_code(text); }

bool is_literal(int token, bool numbers) noexcept {
    return (token >= string_constant && token <= last_constant) ||
           (numbers && (token == decimal_constant || token == integer_constant));
}

// scheme://user:password@host
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

// Found by the server's own scanner: the strings, and where a code may stand, numbers.
std::span<const Literal> literals_of(const std::string& text) {
    const bool numbers = may_hold_code(text);
    return call([&] {
        auto* found = static_cast<Literal*>(palloc(sizeof(Literal) * (text.size() / 2 + 1)));
        std::size_t count = 0;
        core_yy_extra_type extra;
        core_yyscan_t scanner = scanner_init(text.c_str(), &extra, &ScanKeywords, ScanKeywordTokens);
        extra.escape_string_warning = false;
        core_YYSTYPE value;
        YYLTYPE location = 0;
        for (int token = 0; (token = core_yylex(&value, &location, scanner)) != 0;)
            if (is_literal(token, numbers))
                // The scanner ends the text of its last token with a NUL.
                found[count++] = {static_cast<std::size_t>(location), strlen(extra.scanbuf + location)};
        scanner_finish(scanner);
        return std::span<const Literal>(found, count);
    });
}

enum class Inside { hide, look };  // what becomes of a dollar-quoted literal

std::string mask_literals(const std::string& text, bool all, Inside dollars);

std::string mask_literal(const std::string& literal, bool all, Inside dollars) {
    if (!all && !holds_uri_with_password(literal)) return literal;
    if (literal.front() != '$' || dollars == Inside::hide) return std::string(mask);
    const auto tag = literal.substr(0, literal.find('$', 1) + 1);
    const auto body = literal.substr(tag.size(), literal.size() - 2 * tag.size());
    return tag + mask_literals(body, all, Inside::hide) + tag;
}

std::string mask_literals(const std::string& text, bool all, Inside dollars) {
    std::span<const Literal> literals;
    try {
        literals = literals_of(text);
    } catch (const ServerError&) {
        return "***";  // no SQL; scanning it has touched nothing that would have to be rolled back
    }
    std::string result;
    std::size_t from = 0;
    for (const auto& literal : literals) {
        result.append(text, from, literal.at - from);
        result += mask_literal(text.substr(literal.at, literal.size), all, dollars);
        from = literal.at + literal.size;
    }
    return result.append(text, from);
}

// The one command whose literal is code, and worth keeping.
bool is_block(std::string_view statement) noexcept {
    return statement.size() > 2 && lower(statement[0]) == 'd' && lower(statement[1]) == 'o' &&
           (statement[2] == ' ' || statement[2] == '$' || statement[2] == '\n' || statement[2] == '\t');
}

}  // namespace

bool may_hold_code(std::string_view statement) noexcept {
    return speaks_of(step_up, statement) || speaks_of(confirm_totp, statement);
}

bool may_hold_secrets(std::string_view statement) noexcept {
    return is_all_hidden(statement) || holds_uri_with_password(statement);
}

std::string_view redact_secrets(std::string_view statement) {
    const bool all = is_all_hidden(statement);
    if (!all && !holds_uri_with_password(statement)) return statement;
    static std::string result;
    result = mask_literals(std::string(statement), all, is_block(statement) ? Inside::look : Inside::hide);
    return result;
}

}  // namespace jit::pg
