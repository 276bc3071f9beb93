// The settings of a template: read from arguments, checked, and kept in its row.
#pragma once

#include "jit_access/policy/template.hpp"

namespace jit::templates {

// The settings a draft gives, on top of what stands, and whether they go together. Throws invalid_argument.
void apply_settings(const TemplateArguments& draft, Template& to, const principal::Person& by);
// A template from the row that this selects; append WHERE.
[[nodiscard]] std::string select_template();
[[nodiscard]] Template from_row(const pg::Row& row);
// The columns of the settings and what a template has in them, to be written.
[[nodiscard]] std::string setting_names();     // "a, b, c"
[[nodiscard]] std::string participant_columns();  // "ARRAY(...) AS requesters, ...", of jit_access.template t
[[nodiscard]] std::vector<pg::Argument> setting_values(const Template& of);

// Reduces a duration argument; throws invalid_argument.
[[nodiscard]] std::int64_t checked_duration(const core::IntervalParts& interval, const char* what);

}  // namespace jit::templates
