#include "jit_access/rehearsal/dry_run.hpp"

#include <array>

#include "jit_access/core/chain.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/impersonation.hpp"
#include "jit_access/policy/template.hpp"
#include "jit_access/policy/template_closure.hpp"
#include "jit_access/policy/template_privileges.hpp"
#include "jit_access/policy/template_settings.hpp"
#include "jit_access/rehearsal/dry_run_statement.hpp"
#include "jit_access/rehearsal/redaction.hpp"

namespace jit::dry_run {

using core::Code;
using core::Failure;
using core::invalid;
using principal::Person;
using templates::Template;

namespace {

constexpr std::size_t max_statements = 1000;
constexpr const char* default_search_path = "\"$user\", public";
constexpr std::int64_t default_timeout = 30'000'000;
constexpr std::int64_t max_timeout = 3'600'000'000;

// ---- arguments ------------------------------------------------------------------------------------------------------

bool is_execute_mode(const DryRunArguments& arguments) {
    const auto mode = arguments.mode.value_or("check");
    if (mode != "check" && mode != "execute")
        throw invalid("mode", "\"" + pg::excerpt(mode) + "\" is not a mode.", "The modes are check and execute.");
    return mode == "execute";
}

std::int64_t checked_timeout(const DryRunArguments& arguments) {
    if (!arguments.timeout) return default_timeout;
    const auto us = templates::checked_duration(*arguments.timeout, "statement_timeout");
    if (us > max_timeout) throw invalid("statement_timeout", "It is longer than an hour.", "Try less at a time.");
    return us;
}

Person checked_person(const std::string& name) {
    const auto role = pg::find_role(name);
    if (!role) throw invalid("person", "There is no role \"" + pg::excerpt(name) + "\".", "Names are matched exactly.");
    if (pg::is_superuser(*role))
        throw invalid("person", "\"" + name + "\" is a superuser, who needs no grant.", "Name another person.");
    if (name.starts_with(core::managed_role_prefix))
        throw invalid("person", "\"" + name + "\" belongs to jit_access.", "Name a person.");
    return {*role, name};
}

const pg::TextArray& checked_statements(const DryRunArguments& arguments) {
    if (!arguments.statements || arguments.statements->empty())
        throw invalid("statements", "There are none.", "Give an array of statements, one in each element.");
    if (arguments.statements->size() > max_statements)
        throw invalid("statements", "There are more than " + std::to_string(max_statements) + ".",
                      "Try them in several dry runs.");
    return *arguments.statements;
}

Plan make_plan(const DryRunArguments& arguments) {
    (void)checked_statements(arguments);
    Plan plan{.executes = is_execute_mode(arguments),
              .timeout = checked_timeout(arguments),
              .search_path = arguments.search_path.value_or(default_search_path),
              .allows_code = arguments.allow_code.value_or(false)};
    if (arguments.template_name) plan.tmpl = templates::read(arguments.template_name);
    if (plan.tmpl) plan.allows_code = plan.tmpl->allow_code;
    if (!plan.tmpl && !arguments.privileges)
        throw invalid("template", "It is NULL, and so are the privileges.",
                      "Name a template, or list privileges that one would give.");
    if (plan.tmpl && (arguments.allow_schema_change || arguments.allow_code))
        throw invalid("template", "The template determines whether code and schema changes are allowed.",
                      "Omit allow_schema_change and allow_code, or the template.");
    if (arguments.person) plan.person = checked_person(*arguments.person);
    return plan;
}

// ---- authorisation --------------------------------------------------------------------------------------------------

void require_executor(const Person& caller, const Plan& plan, const principal::Origin& origin) {
    principal::require_admin(caller);
    if (plan.person && !pg::is_superuser(caller.role))
        throw Failure(Code::not_permitted, "only a superuser executes a dry run as another person",
                      "It would use the privileges that \"" + plan.person->name + "\" has without a grant.",
                      "Omit the person, or use mode => 'check'.");
    principal::require_own_statement(caller, origin, "a dry run is executed");
}

// Auditors and approvers may check a template for every person, requesters only for themselves. A dry run changes the
// memberships of the template's role and so blocks other grants of it (from PostgreSQL 16 on). A dry run that a
// requester has started therefore does not wait for locks.
void require_checker(const Person& caller, const DryRunArguments& arguments, Plan& plan) {
    if (principal::may_audit(caller.role)) return;
    const bool is_plain_template = plan.tmpl && !arguments.privileges;
    if (is_plain_template && principal::may_decide(caller, plan.tmpl->id)) return;
    if (is_plain_template && principal::may_request(caller, plan.tmpl->id)) {
        plan.waits_for_locks = false;
        if (!plan.person) plan.person = caller;
        if (plan.person->role == caller.role) return;
        throw Failure(Code::not_permitted, "you may only try this template for yourself",
                      "\"" + caller.name + "\" is not an approver of it, an auditor or an administrator.",
                      "Omit the person.");
    }
    throw Failure(Code::not_permitted, "you may not make this dry run",
                  is_plain_template
                      ? "\"" + caller.name + "\" is not a requester or approver of the template, nor an auditor."
                      : "Only auditors and administrators may try privileges that no template gives.",
                  "Ask an administrator.");
}

// ---- temporary roles ------------------------------------------------------------------------------------------------

// The name is random, so that no existing role has it and no statement can name it.
std::string random_role_name(const char* part) {
    std::array<std::byte, 8> random{};
    pg::random_bytes(random.data(), random.size());
    return "jit_rehearsal_" + std::string(part) + "_" + core::to_hex(random);
}

void make_role(const std::string& name) {
    pg::command("CREATE ROLE " + pg::quote(name) +
                " NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT");
}

// Creates a role for a template that does not exist, or whose privileges differ from those of the dry run.
std::string make_template_role(const pg::TextArray& privileges, const DryRunArguments& arguments, const Plan& plan) {
    Template tmpl;
    tmpl.name = plan.tmpl ? plan.tmpl->name : "(new)";
    tmpl.allow_schema_change =
        plan.tmpl ? plan.tmpl->allow_schema_change : arguments.allow_schema_change.value_or(false);
    tmpl.role_name = random_role_name("template");
    make_role(tmpl.role_name);
    tmpl.role = pg::find_role(tmpl.role_name).value();
    (void)templates::grant_privileges(privileges, tmpl.role_name);
    templates::check_closure(tmpl);
    return tmpl.role_name;
}

std::string template_role(const DryRunArguments& arguments, const Plan& plan) {
    if (arguments.privileges) return make_template_role(*arguments.privileges, arguments, plan);
    templates::check_closure(*plan.tmpl);
    return plan.tmpl->role_name;
}

// Creates the roles and memberships that provision would create. If the template's privileges are inherited, the dry
// run acts as the person, otherwise as the role of the grant, as after SET ROLE.
TemporaryRoles make_roles(const DryRunArguments& arguments, const Plan& plan) {
    const auto grant_role = random_role_name("grant");
    const auto reader = random_role_name("reader");
    const auto template_role_name = template_role(arguments, plan);
    make_role(grant_role);
    pg::command("GRANT " + pg::quote(template_role_name) + " TO " + pg::quote(grant_role));
    // pg_write_all_data gives USAGE on every schema and, unlike pg_read_all_data, does not allow reading.
    make_role(reader);
    pg::command("GRANT pg_write_all_data TO " + pg::quote(reader));
    TemporaryRoles roles{pg::find_role(grant_role).value(), pg::find_role(reader).value()};
    const bool inherits = !plan.tmpl || (!plan.tmpl->set_role && !plan.tmpl->login);
    if (plan.person && inherits) {
        pg::command("GRANT " + pg::quote(grant_role) + " TO " + pg::quote(plan.person->name));
        roles.user = plan.person->role;
    }
    return roles;
}

std::vector<Outcome> perform(const DryRunArguments& arguments, const Plan& plan) {
    std::vector<Outcome> outcomes;
    std::vector<redaction::Deferred> deferred(arguments.statements->size());
    pg::in_rolled_back_subtransaction([&] {
        const auto roles = make_roles(arguments, plan);
        auto search_path = plan.search_path;
        for (const auto& statement : *arguments.statements)
            outcomes.push_back(plan.executes
                                   ? execute_statement(statement, roles, plan, search_path, deferred[outcomes.size()])
                                   : check_statement(statement, roles, plan));
    });
    if (plan.executes) redaction::redact_unknown_names(outcomes, deferred);
    return outcomes;
}

}  // namespace

std::vector<Outcome> run(const DryRunArguments& arguments, const principal::Origin& origin) {
    const auto caller = principal::caller();
    if (arguments.template_name) (void)templates::read_visible(caller, arguments.template_name);
    auto plan = make_plan(arguments);
    if (plan.executes)
        require_executor(caller, plan, origin);
    else
        require_checker(caller, arguments, plan);
    return perform(arguments, plan);
}

std::vector<Outcome> run_authorised(const DryRunArguments& arguments) {
    return perform(arguments, make_plan(arguments));
}

void validate(const DryRunArguments& arguments) { (void)make_plan(arguments); }

}  // namespace jit::dry_run
