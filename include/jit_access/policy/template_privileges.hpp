// The privileges that a template gives to its role, now and on objects created later.
#pragma once

#include "jit_access/policy/template.hpp"

namespace jit::templates {

// Gives the role what the items say; the schemas named by ALL TABLES IN SCHEMA come back.
std::vector<std::uint32_t> grant_privileges(const pg::TextArray& items, const std::string& role);
// Takes from the role what the template has given it.
void revoke_privileges(const Template& from);

// Event trigger: gives the template roles their privileges on relations made or moved by this command.
void grant_on_new_relations(const pg::TextArray& relations, const std::vector<std::uint32_t>& schemas);

}  // namespace jit::templates
