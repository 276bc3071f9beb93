#include "jit_access/rehearsal/redaction.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/sql.hpp"

namespace jit::redaction {

namespace {

using Names = std::vector<std::string>;

// Returns true if the error comes from the statement itself. Then its context has at most the line that quotes the
// statement; functions and triggers that it has called add lines of their own.
bool comes_from_statement(const pg::Fault& fault, const std::string& statement) {
    if (fault.context.empty()) return true;
    const auto at = fault.context.find(statement);
    if (at == std::string::npos) return false;
    const auto rest = fault.context.substr(0, at) + fault.context.substr(at + statement.size());
    return rest.find('\n') == std::string::npos;
}

bool is_guarded(const pg::Fault& fault) {
    return fault.ours && fault.sqlstate == core::entry(core::Code::guarded).sqlstate;
}

// SQLSTATE classes whose messages are filled in with names of objects, not with values. A message of class 22 (data
// exception), for example, quotes data: invalid input syntax for type integer: "...".
bool names_only_objects(const pg::Fault& fault) {
    constexpr std::array<std::string_view, 12> classes = {"0A", "23", "25", "2B", "2D", "3D",
                                                          "3F", "40", "42", "54", "55", "57"};
    return std::find(classes.begin(), classes.end(), std::string_view(fault.sqlstate).substr(0, 2)) != classes.end();
}

// Skips a printf conversion after its %. Returns false for %%, which stands for a percent sign.
bool skip_conversion(std::string_view format, std::size_t& at) {
    if (at < format.size() && format[at] == '%') return false;
    while (at < format.size() && std::string_view("-+ #.*$0123456789lhzqjt").find(format[at]) != std::string_view::npos)
        ++at;
    if (at < format.size()) ++at;
    return true;
}

// Returns the fixed parts of a printf format. There is one value between each part and the next.
Names fixed_parts(std::string_view format) {
    Names parts{""};
    for (std::size_t at = 0; at < format.size();) {
        const char c = format[at++];
        if (c == '%' && skip_conversion(format, at)) {
            parts.emplace_back();
            continue;
        }
        if (c == '%') ++at;
        parts.back() += c;
    }
    return parts;
}

// Returns the values with which a printf format was filled in; nothing if the text does not match the format, for
// example because the message was translated.
std::optional<Names> extract_values(std::string_view format, std::string_view text) {
    const auto parts = fixed_parts(format);
    if (!text.starts_with(parts.front())) return std::nullopt;
    text.remove_prefix(parts.front().size());
    if (parts.size() == 1) return text.empty() ? std::optional(Names{}) : std::nullopt;
    if (!text.ends_with(parts.back())) return std::nullopt;
    text.remove_suffix(parts.back().size());
    Names values;
    for (std::size_t i = 1; i + 1 < parts.size(); ++i) {
        const auto at = parts[i].empty() ? std::string_view::npos : text.find(parts[i]);
        if (at == std::string_view::npos) return std::nullopt;
        values.emplace_back(text.substr(0, at));
        text.remove_prefix(at + parts[i].size());
    }
    values.emplace_back(text);
    return values;
}

// Words of the extension's own text in a missing privilege, such as SELECT ON or "by who owns the view".
bool is_fixed_word(std::string_view word) {
    constexpr std::array<std::string_view, 24> words = {
        "SELECT",    "INSERT",    "UPDATE",   "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER",  "USAGE",
        "EXECUTE",   "CREATE",    "MAINTAIN", "ON",     "SCHEMA",   "SEQUENCE",   "FUNCTION", "DATABASE",
        "OWNERSHIP", "TEMPORARY", "or",       "by",     "who",      "owns",       "the",      "view"};
    return std::find(words.begin(), words.end(), word) != words.end();
}

// The names in a missing privilege: card, app and orders in "SELECT (card) ON app.orders".
Names names_in(const std::string& missing) {
    Names names;
    for (std::size_t at = 0; at < missing.size();) {
        if (std::string_view(" ,.()[]").find(missing[at]) != std::string_view::npos) {
            ++at;
            continue;
        }
        std::string name;
        if (missing[at] == '"') {
            for (++at; at < missing.size(); ++at) {
                // A doubled quote is part of the name.
                if (missing[at] == '"' && (++at == missing.size() || missing[at] != '"')) break;
                name += missing[at];
            }
        } else {
            while (at < missing.size() && std::string_view(" ,.()[]\"").find(missing[at]) == std::string_view::npos)
                name += missing[at++];
        }
        if (!is_fixed_word(name)) names.push_back(name);
    }
    return names;
}

// The names that may be shown: those in the statements of the dry run, and those in the catalogs.
class KnownNames {
public:
    explicit KnownNames(const std::vector<dry_run::Outcome>& outcomes) {
        for (const auto& outcome : outcomes) statements_.push_back(outcome.statement);
    }

    [[nodiscard]] bool has_all(const Names& names) const {
        pg::TextArray not_in_statements;
        for (const auto& name : names)
            if (std::none_of(statements_.begin(), statements_.end(),
                             [&](const auto& statement) { return statement.find(name) != std::string::npos; }))
                not_in_statements.push_back(name);
        return not_in_statements.empty() || are_in_catalogs(not_in_statements);
    }

private:
    static bool are_in_catalogs(const pg::TextArray& names) {
        // format_type() gives the SQL names of types, such as "timestamp with time zone".
        return pg::query_row(R"sql(
            SELECT $1::text[] <@ pg_catalog.array_agg(k.name::text)
            FROM (SELECT relname FROM pg_catalog.pg_class
                  UNION SELECT attname FROM pg_catalog.pg_attribute
                  UNION SELECT conname FROM pg_catalog.pg_constraint
                  UNION SELECT nspname FROM pg_catalog.pg_namespace
                  UNION SELECT proname FROM pg_catalog.pg_proc
                  UNION SELECT typname FROM pg_catalog.pg_type
                  UNION SELECT rolname FROM pg_catalog.pg_authid
                  UNION SELECT tgname FROM pg_catalog.pg_trigger
                  UNION SELECT polname FROM pg_catalog.pg_policy
                  UNION SELECT s.word
                        FROM pg_catalog.pg_type t,
                             pg_catalog.string_to_table(pg_catalog.format_type(t.oid, NULL), ' ') s (word)) k (name))sql",
                             {names})
            ->get<bool>(0);
    }

    Names statements_;
};

// A sequence that was created in the dry run no longer exists, so it has no name.
pg::TextArray names_of(const std::vector<std::uint32_t>& sequences) {
    pg::TextArray names;
    for (const auto oid : sequences) {
        const auto row = pg::query_row(R"sql(
            SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
            FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = $1::bigint::oid)sql",
                                       {static_cast<std::int64_t>(oid)});
        if (row) names.push_back(row->get<std::string>(0));
    }
    return names;
}

}  // namespace

std::string shown_message(const pg::Fault& fault, const std::string& statement, const std::string& expected,
                          Deferred& deferred) {
    const bool is_direct = comes_from_statement(fault, statement);
    if (is_direct && !expected.empty() && fault.message == expected) return fault.message;
    // Messages of the guards are fixed text, except for names, which they quote.
    if (is_guarded(fault)) return is_direct || fault.message.find('"') == std::string::npos ? fault.message : not_shown;
    if (!is_direct || !names_only_objects(fault)) return not_shown;
    const auto values = extract_values(fault.format, fault.message);
    if (!values) return not_shown;
    deferred.names = *values;
    return fault.message;
}

void redact_unknown_names(std::vector<dry_run::Outcome>& outcomes, const std::vector<Deferred>& deferred) {
    const KnownNames known(outcomes);
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        auto& outcome = outcomes[i];
        if (outcome.message && !known.has_all(deferred[i].names)) outcome.message = not_shown;
        for (auto& missing : outcome.missing)
            if (!known.has_all(names_in(missing))) missing = not_shown;
        outcome.sequences = names_of(deferred[i].sequences);
    }
}

}  // namespace jit::redaction
