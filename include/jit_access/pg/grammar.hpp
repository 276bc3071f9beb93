// A privilege item, what stands between GRANT and TO, read by the server's own parser.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace jit::pg {

struct PrivilegeItem {
    std::string grant;                   // the whole GRANT command for the role
    bool membership = false;             // of another role
    std::vector<std::uint32_t> schemas;  // of ALL TABLES IN SCHEMA: tables created there later are meant as well
};

// Throws privilege_refused: does not parse, is more than one command, names other grantees, asks for a grant or admin
// option, or for a kind of object a template does not cover.
[[nodiscard]] PrivilegeItem parse_privilege(const std::string& item, const std::string& role);

// What a schema-wide item gives on one table, and the columns it names, which that table may not have.
struct TableGrant {
    std::string sql;
    std::vector<std::string> columns;
};
[[nodiscard]] TableGrant grant_on_table(const std::string& item, const std::string& role, const std::string& table);

}  // namespace jit::pg
