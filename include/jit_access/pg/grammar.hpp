// Privilege items of a template, such as SELECT ON ALL TABLES IN SCHEMA app: the text between GRANT and TO, parsed by
// the server's own parser. A parser of our own would accept some items that GRANT refuses, or interpret them
// differently.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace jit::pg {

struct PrivilegeItem {
    std::string grant;                   // the complete GRANT command
    bool membership = false;             // the item is a role, not a privilege on objects
    std::vector<std::uint32_t> schemas;  // OIDs of ALL TABLES IN SCHEMA: tables created there later are covered, too
};

// Parses the item as a GRANT to `role`. Throws privilege_refused if it does not parse, is more than one command, names
// other grantees, has a grant or admin option, or is on a kind of object that templates do not cover.
[[nodiscard]] PrivilegeItem parse_privilege(const std::string& item, const std::string& role);

// The GRANT of a schema-wide item for one table, and the columns that the item names. The table may lack some of them.
struct TableGrant {
    std::string sql;
    std::vector<std::string> columns;
};
// `table` must be quoted. The item must have passed parse_privilege().
[[nodiscard]] TableGrant grant_on_table(const std::string& item, const std::string& role, const std::string& table);

}  // namespace jit::pg
