#include "jit_access/pg/grammar.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/server.hpp"
#include "jit_access/pg/sql.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "parser/parser.h"
}

namespace jit::pg {

namespace {

using core::Code;
using core::Failure;

Failure refusal(const std::string& item, const std::string& why, const std::string& hint = {}) {
    return {Code::privilege_refused, "cannot give the privilege \"" + excerpt(item) + "\" to a template", why,
            hint.empty() ? "Write what stands between GRANT and TO, for example SELECT ON ALL TABLES IN SCHEMA app."
                         : hint};
}

bool is_only_grantee(const List* grantees, const std::string& role) {
    if (list_length(grantees) != 1) return false;
    const auto* spec = linitial_node(RoleSpec, grantees);
    return spec->roletype == ROLESPEC_CSTRING && role == spec->rolename;
}

// Returns why a template may not have privileges on this kind of object; null if it may. Parameters, tablespaces,
// languages and large objects concern administration, not data.
const char* objection_to_object(const GrantStmt* grant) {
    switch (grant->objtype) {
        case OBJECT_TABLE:
        case OBJECT_SEQUENCE:
        case OBJECT_SCHEMA:
        case OBJECT_FUNCTION:
        case OBJECT_PROCEDURE:
        case OBJECT_ROUTINE:
        case OBJECT_DATABASE:
        case OBJECT_TYPE:
        case OBJECT_DOMAIN:
        case OBJECT_FDW:
        case OBJECT_FOREIGN_SERVER: return nullptr;
        default:
            return "Templates cover tables, columns, sequences, functions, schemas, databases, types and foreign "
                   "servers.";
    }
}

bool is_identifier_byte(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || c == '_' || c == '$' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
}

// The server truncates names that are too long, so the GRANT could be on an object other than the one that was named.
bool has_overlong_name(const std::string& item) {
    std::size_t length = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < item.size(); ++i) {
        if (item[i] == '"') {
            if (quoted && i + 1 < item.size() && item[i + 1] == '"') {
                ++i;
                ++length;
            } else {
                quoted = !quoted;
                length = 0;
            }
        } else if (quoted || is_identifier_byte(item[i])) {
            ++length;
        } else {
            length = 0;
        }
        if (length >= NAMEDATALEN) return true;
    }
    return false;
}

Node* parse_one(const std::string& item, const std::string& sql) {
    List* commands = nullptr;
    try {
        commands = call([&] { return raw_parser(sql.c_str(), RAW_PARSE_DEFAULT); });
    } catch (const ServerError& error) {
        throw refusal(item, std::string("The server cannot read it: ") + error.what() + ".");
    }
    if (list_length(commands) != 1) throw refusal(item, "It is more than one command.");
    return linitial_node(RawStmt, commands)->stmt;
}

std::vector<std::uint32_t> schema_oids(const std::string& item, const List* names) {
    std::vector<std::uint32_t> oids;
    const ListCell* cell = nullptr;
    foreach (cell, names) {
        const char* name = strVal(lfirst(cell));
        const Oid oid = call([&] { return get_namespace_oid(name, true); });
        if (!OidIsValid(oid))
            throw refusal(item, std::string("There is no schema \"") + name + "\".",
                          "Create it first, or correct the name.");
        oids.push_back(oid);
    }
    return oids;
}

}  // namespace

PrivilegeItem parse_privilege(const std::string& item, const std::string& role) {
    if (has_overlong_name(item))
        throw refusal(item, "It holds a name of more than 63 bytes, which the server would truncate.");
    PrivilegeItem result;
    // The line break ends a comment (--) in the item, which would otherwise hide the grantee.
    result.grant = "GRANT " + item + "\n TO " + quote(role);
    const Node* command = parse_one(item, result.grant);

    if (IsA(command, GrantRoleStmt)) {
        const auto* grant = reinterpret_cast<const GrantRoleStmt*>(command);
        if (!grant->is_grant || !is_only_grantee(grant->grantee_roles, role))
            throw refusal(item, "It names a grantee of its own.");
        result.membership = true;
        return result;
    }
    if (!IsA(command, GrantStmt)) throw refusal(item, "It is not a privilege.");
    const auto* grant = reinterpret_cast<const GrantStmt*>(command);
    if (!grant->is_grant || !is_only_grantee(grant->grantees, role))
        throw refusal(item, "It names a grantee of its own.");
    if (grant->grant_option) throw refusal(item, "A grant option would let the holder pass the privilege on.");
    if (const char* objection = objection_to_object(grant)) throw refusal(item, objection);
    if (grant->targtype == ACL_TARGET_ALL_IN_SCHEMA && grant->objtype == OBJECT_TABLE)
        result.schemas = schema_oids(item, grant->objects);
    return result;
}

TableGrant grant_on_table(const std::string& item, const std::string& role, const std::string& table) {
    // The item passed parse_privilege() when the template was created. Only its list of privileges is used here.
    TableGrant result;
    const Node* command = parse_one(item, "GRANT " + item + "\n TO " + quote(role));
    if (!IsA(command, GrantStmt)) return result;
    const auto* grant = reinterpret_cast<const GrantStmt*>(command);
    std::string privileges;
    const ListCell* cell = nullptr;
    foreach (cell, grant->privileges) {
        const auto* privilege = lfirst_node(AccessPriv, cell);
        privileges += (privileges.empty() ? "" : ", ") +
                      std::string(privilege->priv_name != nullptr ? privilege->priv_name : "ALL");
        std::string columns;
        const ListCell* column = nullptr;
        foreach (column, privilege->cols) {
            result.columns.emplace_back(strVal(lfirst(column)));
            columns += (columns.empty() ? "" : ", ") + quote(result.columns.back());
        }
        if (!columns.empty()) privileges += " (" + columns + ")";
    }
    result.sql =
        "GRANT " + (privileges.empty() ? std::string("ALL") : privileges) + " ON TABLE " + table + " TO " + quote(role);
    return result;
}

}  // namespace jit::pg
