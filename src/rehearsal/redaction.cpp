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

// The line that says which statement was run, and no other: whatever the statement has called adds its own.
bool is_of_statement_itself(const pg::Fault& fault, const std::string& statement) {
    if (fault.context.empty()) return true;
    const auto at = fault.context.find(statement);
    if (at == std::string::npos) return false;
    const auto rest = fault.context.substr(0, at) + fault.context.substr(at + statement.size());
    return rest.find('\n') == std::string::npos;
}

bool is_guarded(const pg::Fault& fault) {
    return fault.ours && fault.sqlstate == core::entry(core::Code::guarded).sqlstate;
}

// Of errors that say what they say by names of objects and not of values.
bool is_about_objects(const pg::Fault& fault) {
    constexpr std::array<std::string_view, 12> classes = {"0A", "23", "25", "2B", "2D", "3D",
                                                          "3F", "40", "42", "54", "55", "57"};
    return std::find(classes.begin(), classes.end(), std::string_view(fault.sqlstate).substr(0, 2)) != classes.end();
}

// Skips what stands after a %; true when it stands for a value.
bool skip_conversion(std::string_view format, std::size_t& at) {
    if (at < format.size() && format[at] == '%') return false;
    while (at < format.size() && std::string_view("-+ #.*$0123456789lhzqjt").find(format[at]) != std::string_view::npos)
        ++at;
    if (at < format.size()) ++at;
    return true;
}

// The fixed parts of a format, between which the values stand.
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

// What a format was filled in with. Nothing when it cannot be told, as with a message that was translated.
std::optional<Names> filled_in(std::string_view format, std::string_view text) {
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

bool is_word_of_ours(std::string_view word) {
    constexpr std::array<std::string_view, 24> words = {
        "SELECT",    "INSERT",    "UPDATE",   "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER",  "USAGE",
        "EXECUTE",   "CREATE",    "MAINTAIN", "ON",     "SCHEMA",   "SEQUENCE",   "FUNCTION", "DATABASE",
        "OWNERSHIP", "TEMPORARY", "or",       "by",     "who",      "owns",       "the",      "view"};
    return std::find(words.begin(), words.end(), word) != words.end();
}

// The names in "SELECT (card) ON app.orders".
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
                // Doubled it is part of the name.
                if (missing[at] == '"' && (++at == missing.size() || missing[at] != '"')) break;
                name += missing[at];
            }
        } else {
            while (at < missing.size() && std::string_view(" ,.()[]\"").find(missing[at]) == std::string_view::npos)
                name += missing[at++];
        }
        if (!is_word_of_ours(name)) names.push_back(name);
    }
    return names;
}

class Known {
public:
    explicit Known(const std::vector<dry_run::Outcome>& outcomes) {
        for (const auto& one : outcomes) statements_.push_back(one.statement);
    }

    [[nodiscard]] bool has(const Names& names) const {
        pg::TextArray others;
        for (const auto& name : names)
            if (std::none_of(statements_.begin(), statements_.end(),
                             [&](const auto& statement) { return statement.find(name) != std::string::npos; }))
                others.push_back(name);
        return others.empty() || are_in_catalogs(others);
    }

private:
    static bool are_in_catalogs(const pg::TextArray& names) {
        return pg::query_row(
                   "SELECT $1::text[] <@ pg_catalog.array_agg(k.name::text) FROM ("
                   "SELECT relname FROM pg_catalog.pg_class UNION SELECT attname FROM pg_catalog.pg_attribute UNION "
                   "SELECT conname FROM pg_catalog.pg_constraint UNION SELECT nspname FROM pg_catalog.pg_namespace "
                   "UNION "
                   "SELECT proname FROM pg_catalog.pg_proc UNION SELECT typname FROM pg_catalog.pg_type UNION "
                   "SELECT rolname FROM pg_catalog.pg_authid UNION SELECT tgname FROM pg_catalog.pg_trigger UNION "
                   "SELECT polname FROM pg_catalog.pg_policy UNION SELECT s.word FROM pg_catalog.pg_type t, "
                   "pg_catalog.string_to_table(pg_catalog.format_type(t.oid, NULL), ' ') s (word)) k (name)",
                   {names})
            ->get<bool>(0);
    }

    Names statements_;
};

pg::TextArray names_of(const std::vector<std::uint32_t>& sequences) {
    pg::TextArray names;
    for (const auto oid : sequences) {
        const auto row = pg::query_row(
            "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN "
            "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::bigint::oid",
            {static_cast<std::int64_t>(oid)});
        if (row) names.push_back(row->get<std::string>(0));
    }
    return names;
}

}  // namespace

std::string message(const pg::Fault& fault, const std::string& statement, const std::string& expected, Held& held) {
    const bool is_itself = is_of_statement_itself(fault, statement);
    if (is_itself && !expected.empty() && fault.message == expected) return fault.message;
    // What the guards say without a name they say with constants.
    if (is_guarded(fault)) return is_itself || fault.message.find('"') == std::string::npos ? fault.message : not_shown;
    if (!is_itself || !is_about_objects(fault)) return not_shown;
    const auto values = filled_in(fault.format, fault.message);
    if (!values) return not_shown;
    held.names = *values;
    return fault.message;
}

void settle(std::vector<dry_run::Outcome>& outcomes, const std::vector<Held>& held) {
    const Known known(outcomes);
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        auto& one = outcomes[i];
        if (one.message && !known.has(held[i].names)) one.message = not_shown;
        for (auto& missing : one.missing)
            if (!known.has(names_in(missing))) missing = not_shown;
        one.sequences = names_of(held[i].sequences);
    }
}

}  // namespace jit::redaction
