// What a statement asks for, and what of it the current user lacks: all of it, not only what the server would stumble
// over first. Nothing is planned and nothing runs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jit_access/pg/role.hpp"

struct QueryDesc;

namespace jit::required_privileges {

enum class Permission { allowed, denied, unknown };

struct RequiredPrivileges {
    Permission permission = Permission::allowed;
    std::vector<std::string> missing;  // "SELECT ON app.orders"
};

// Of one statement, by its text, for the current user. The names in it are looked up by the reader, if there is one:
// who may not walk into a schema learns no more from the server than that. Throws what the server says of a text that
// it cannot read, and the objections of the guards.
[[nodiscard]] RequiredPrivileges of(const std::string& statement, std::optional<pg::RoleId> reader = std::nullopt);
// Whether it is one statement; throws what the parser says, or invalid_argument.
void require_one(const std::string& statement);

// Of a query that is about to run.
void add_missing(const QueryDesc* query, std::vector<std::string>& missing);

}  // namespace jit::required_privileges
