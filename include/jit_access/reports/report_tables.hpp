// The tables of the report page. Each shows a limited number of rows and states the number of all rows.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "jit_access/core/report_model.hpp"
#include "jit_access/pg/sql.hpp"

namespace jit::report {

// The range of a report: [from, to).
struct Range {
    pg::Instant from;
    pg::Instant to;
};

// The grants and the usage of one person, or of one template.
struct Activity {
    std::int64_t grants = 0;
    std::int64_t statements = 0;
    std::int64_t failed = 0;
    std::int64_t rows = 0;
    std::set<std::string> others;  // the templates of a person, or the people of a template
};

struct Summary {
    std::map<std::string, Activity> people;
    std::map<std::string, Activity> templates;
    Activity total;
    std::int64_t open = 0;  // uses without an outcome
};

void add_tables(core::Page& page, const Summary& summary, const Range& range);

}  // namespace jit::report
