// The privileges that a template grants to its role, on existing objects and on objects created later.
//
// Everything here runs GRANT and REVOKE in the current transaction, as the owner of the extension.
#pragma once

#include "jit_access/policy/template.hpp"

namespace jit::templates {

// Grants the items to the role. Returns the OIDs of the schemas that ALL TABLES IN SCHEMA names. Throws
// privilege_refused when an item is not a plain GRANT or the server rejects it.
std::vector<std::uint32_t> grant_privileges(const pg::TextArray& items, const std::string& role);
// Revokes from the template's role the privileges that the template granted.
void revoke_privileges(const Template& tmpl);

// Called by the event trigger for the relations that a command created or moved, with their schemas: repeats the items
// of ALL TABLES IN SCHEMA for them. An item that fails is logged and does not fail the command.
void grant_on_new_relations(const pg::TextArray& relations, const std::vector<std::uint32_t>& schemas);

}  // namespace jit::templates
