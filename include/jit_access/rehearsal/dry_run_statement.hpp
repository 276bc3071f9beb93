// One statement of a dry run: analysed in mode `check`, run in mode `execute`.
//
// Both act as the temporary roles of the dry run, under the sandbox (statements/sandbox.hpp). The caller has started
// the subtransaction that is rolled back when the dry run ends.
#pragma once

#include <optional>
#include <string>

#include "jit_access/policy/template.hpp"
#include "jit_access/rehearsal/dry_run.hpp"
#include "jit_access/rehearsal/redaction.hpp"

namespace jit::dry_run {

// A dry run whose arguments are valid.
struct Plan {
    std::optional<templates::Template> tmpl;
    std::optional<principal::Person> person;
    bool executes = false;
    std::int64_t timeout = 0;  // microseconds
    std::string search_path;
    bool allows_code = false;
    bool waits_for_locks = true;
};

struct TemporaryRoles {
    pg::RoleId user;    // the person, or the role of the grant
    pg::RoleId reader;  // has USAGE on every schema and can read no data
};

[[nodiscard]] Outcome check_statement(const std::string& statement, const TemporaryRoles& roles, const Plan& plan);

// Runs the statement and writes it to the record. `search_path` is the value that the earlier statements have left, and
// is updated if this statement sets it. `deferred` receives the names that may be shown only if they existed before the
// dry run.
[[nodiscard]] Outcome execute_statement(const std::string& statement, const TemporaryRoles& roles, const Plan& plan,
                                        std::string& search_path, redaction::Deferred& deferred);

}  // namespace jit::dry_run
