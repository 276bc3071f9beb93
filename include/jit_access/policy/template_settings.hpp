// The settings of a template: read from arguments, checked, and stored in its row.
//
// The list of settings is each_setting() in template.hpp. The SQL fragments returned here are built from that list, so
// that a new setting needs no change here.
#pragma once

#include "jit_access/policy/template.hpp"

namespace jit::templates {

// Applies the settings in `arguments` to `tmpl` and checks that the result is consistent. `admin` must be allowed
// to give objects to the object_owner. Throws invalid_argument or not_permitted.
void apply_settings(const TemplateArguments& arguments, Template& tmpl, const principal::Person& admin);

// A SELECT of the columns that template_from_row() reads; append a WHERE clause.
[[nodiscard]] std::string select_template();
[[nodiscard]] Template template_from_row(const pg::Row& row);

// The columns of the settings, "a, b, c", and the values of a template for them, in the same order.
[[nodiscard]] std::string setting_names();
[[nodiscard]] std::vector<pg::Argument> setting_values(const Template& tmpl);
// "ARRAY(...) AS requesters, ...": one column for each list of participants of jit_access.template t.
[[nodiscard]] std::string participant_columns();

// Converts a duration argument to microseconds; throws invalid_argument, naming the argument.
[[nodiscard]] std::int64_t checked_duration(const core::IntervalParts& interval, const char* argument);

}  // namespace jit::templates
