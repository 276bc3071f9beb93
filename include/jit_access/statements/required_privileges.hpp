// The privileges that a statement needs, and all those that the current user lacks, not only the first one that the
// server would report. Nothing is planned and nothing runs. Used by dry runs.
//
// Needs a transaction. Throws the server's error for a text that it cannot parse or analyze, and the refusals of
// guards.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jit_access/pg/role.hpp"

struct QueryDesc;

namespace jit::required_privileges {

enum class Permission {
    allowed,
    denied,
    unknown  // a command whose required privileges are not all known
};

struct RequiredPrivileges {
    Permission permission = Permission::allowed;
    std::vector<std::string> missing;  // "SELECT ON app.orders"
};

// Analyzes one statement for the current user. If a reader is given, names are looked up as this role, which may use
// every schema. Otherwise the server would not say what else is missing in a schema that the user cannot use.
[[nodiscard]] RequiredPrivileges analyze(const std::string& statement, std::optional<pg::RoleId> reader = std::nullopt);
// Throws invalid_argument, or the parser's error, unless the text is exactly one statement.
void require_single_statement(const std::string& statement);

// Appends the privileges that the current user lacks for a query that is about to run.
void append_missing(const QueryDesc* query, std::vector<std::string>& missing);

}  // namespace jit::required_privileges
