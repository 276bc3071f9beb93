// Conditions of a template: from which client, and in which databases, its grants may be requested, activated and used.
//
// The conditions are copied into a grant when it becomes active; a later change of the template does not affect the
// grant. core/conditions decides whether a client satisfies them. All functions except to_hex() and from_hex() run SQL
// and need a transaction.
#pragma once

#include "jit_access/core/conditions.hpp"
#include "jit_access/policy/template.hpp"

namespace jit::conditions {

// Checks the conditions given in `arguments` and rewrites those of `tmpl` to the form that is compared: networks in the
// server's spelling of cidr, databases by OID, so that a new database with the same name does not match. Throws
// invalid_argument.
void normalize(const templates::TemplateArguments& arguments, templates::Template& tmpl);

[[nodiscard]] core::Conditions for_template(const templates::Template& tmpl);

// Returns the form stored in jit_access.request.conditions: packed, in hexadecimal; nothing if there are no conditions.
[[nodiscard]] std::optional<std::string> to_hex(const core::Conditions& conditions);
// The inverse of to_hex(). Throws wrong_state when the text is not a valid packing.
[[nodiscard]] core::Conditions from_hex(const std::optional<std::string>& hex);

}  // namespace jit::conditions
