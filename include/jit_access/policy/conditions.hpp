// Conditions of a template: from where and how its grants may be asked for, made active and used. They are copied into
// a grant when it becomes active; what changes afterwards changes nothing for it. Whether they hold says
// core/conditions.
#pragma once

#include "jit_access/core/conditions.hpp"
#include "jit_access/policy/template.hpp"

namespace jit::conditions {

// Checks what a draft says and has the template keep it as it is compared: networks without what is behind their
// prefix, databases by their OIDs, so that another one of the same name is another one. Throws invalid_argument.
void normalize(const templates::TemplateArguments& draft, templates::Template& to);

[[nodiscard]] core::Conditions for_template(const templates::Template& of);

// As a row keeps them: packed, in hexadecimal; nothing when there are none.
[[nodiscard]] std::optional<std::string> to_hex(const core::Conditions& conditions);
// Throws when nobody can have written that.
[[nodiscard]] core::Conditions from_hex(const std::optional<std::string>& written);

}  // namespace jit::conditions
