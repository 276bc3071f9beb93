#include "jit_access/rehearsal/dry_run.hpp"
#include "jit_access/policy/template_closure.hpp"
#include "jit_access/policy/template_privileges.hpp"
#include "jit_access/policy/template_settings.hpp"

#include <algorithm>
#include <array>

#include "jit_access/core/chain.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/enforcement/recorder.hpp"
#include "jit_access/enforcement/session.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/impersonation.hpp"
#include "jit_access/pg/redact_secrets.hpp"
#include "jit_access/policy/template.hpp"
#include "jit_access/rehearsal/redaction.hpp"
#include "jit_access/statements/required_privileges.hpp"
#include "jit_access/statements/sandbox.hpp"

namespace jit::dry_run {

using core::Code;
using core::Failure;
using core::invalid;
using pg::RoleId;
using principal::Person;
using templates::Template;

namespace {

constexpr std::size_t max_statements = 1000;
constexpr const char* own_path = "pg_catalog, pg_temp";
constexpr const char* default_path = "\"$user\", public";
constexpr std::int64_t default_timeout = 30'000'000;
constexpr std::int64_t max_timeout = 3'600'000'000;

// What is tried, once it is known that it may be.
struct Plan {
    std::optional<Template> of;
    std::optional<Person> person;
    bool executes = false;
    std::int64_t timeout = default_timeout;
    std::string path = default_path;
    bool allows_code = false;
    bool is_patient = true;
};

// The roles of a grant that never is.
struct Stage {
    RoleId user;
    RoleId reader;  // walks into every schema, and reads nothing
};

// ---- what is asked --------------------------------------------------------------------------------------------------

bool is_execute(const DryRunArguments& asked) {
    const auto mode = asked.mode.value_or("check");
    if (mode != "check" && mode != "execute")
        throw invalid("mode", "\"" + pg::excerpt(mode) + "\" is not a mode.", "The modes are check and execute.");
    return mode == "execute";
}

std::int64_t timeout_of(const DryRunArguments& asked) {
    if (!asked.timeout) return default_timeout;
    const auto us = templates::checked_duration(*asked.timeout, "statement_timeout");
    if (us > max_timeout) throw invalid("statement_timeout", "It is longer than an hour.", "Try less at a time.");
    return us;
}

Person person_named(const std::string& name) {
    const auto role = pg::find_role(name);
    if (!role) throw invalid("person", "There is no role \"" + pg::excerpt(name) + "\".", "Names are matched exactly.");
    if (pg::is_superuser(*role))
        throw invalid("person", "\"" + name + "\" is a superuser, who needs no grant.", "Name somebody else.");
    if (name.starts_with(core::managed_role_prefix))
        throw invalid("person", "\"" + name + "\" belongs to jit_access.", "Name a person.");
    return {*role, name};
}

const pg::TextArray& statements_of(const DryRunArguments& asked) {
    if (!asked.statements || asked.statements->empty())
        throw invalid("statements", "There are none.", "Give an array of statements, one in each element.");
    if (asked.statements->size() > max_statements)
        throw invalid("statements", "There are more than " + std::to_string(max_statements) + ".",
                      "Try them in several dry runs.");
    return *asked.statements;
}

Plan plan_of(const DryRunArguments& asked) {
    (void)statements_of(asked);
    Plan plan{.executes = is_execute(asked),
              .timeout = timeout_of(asked),
              .path = asked.search_path.value_or(default_path),
              .allows_code = asked.allow_code.value_or(false)};
    if (asked.template_name) plan.of = templates::read(asked.template_name);
    if (plan.of) plan.allows_code = plan.of->allow_code;
    if (!plan.of && !asked.privileges)
        throw invalid("template", "It is NULL, and so are the privileges.",
                      "Name a template, or say with privileges what one would give.");
    if (plan.of && (asked.allow_schema_change || asked.allow_code))
        throw invalid("template", "It says itself whether it allows code and changes of the schema.",
                      "Leave out allow_schema_change and allow_code, or the template.");
    if (asked.person) plan.person = person_named(*asked.person);
    return plan;
}

// ---- who may --------------------------------------------------------------------------------------------------------

void require_executor(const Person& me, const Plan& plan, const principal::Origin& origin) {
    principal::require_admin(me);
    if (plan.person && !pg::is_superuser(me.role))
        throw Failure(Code::not_permitted, "only a superuser executes a dry run as another person",
                      "It would use the privileges that \"" + plan.person->name + "\" has without a grant.",
                      "Leave out the person, or use mode => 'check'.");
    principal::require_own_statement(me, origin, "a dry run is executed");
}

// Who only asks for a template tries it for himself. While he does, nobody else changes who is in its role (from 16),
// so he does not wait for locks.
void require_checker(const Person& me, const DryRunArguments& asked, Plan& plan) {
    if (principal::may_audit(me.role)) return;
    const bool holds_no_grant = plan.of && !asked.privileges;
    if (holds_no_grant && principal::may_decide(me, plan.of->id)) return;
    if (holds_no_grant && principal::may_request(me, plan.of->id)) {
        plan.is_patient = false;
        if (!plan.person) plan.person = me;
        if (plan.person->role == me.role) return;
        throw Failure(Code::not_permitted, "you may try this template for yourself alone",
                      "\"" + me.name + "\" is none of its approvers, no auditor and no administrator.",
                      "Leave out the person.");
    }
    throw Failure(Code::not_permitted, "you may not make this dry run",
                  holds_no_grant
                      ? "\"" + me.name + "\" may neither ask for the template nor approve it, and is no auditor."
                      : "Privileges that no template gives are tried by auditors and administrators.",
                  "Ask an administrator.");
}

// ---- the stage ------------------------------------------------------------------------------------------------------

std::string unlikely_name(const char* part) {
    std::array<std::byte, 8> random{};
    pg::random_bytes(random.data(), random.size());
    return "jit_rehearsal_" + std::string(part) + "_" + core::to_hex(random);
}

void make_role(const std::string& name) {
    pg::command("CREATE ROLE " + pg::quote(name) +
                " NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT");
}

// A template that is not there, or not so.
std::string make_template(const pg::TextArray& privileges, const DryRunArguments& asked, const Plan& plan) {
    Template made;
    made.name = plan.of ? plan.of->name : "(new)";
    made.allow_schema_change = plan.of ? plan.of->allow_schema_change : asked.allow_schema_change.value_or(false);
    made.role_name = unlikely_name("template");
    make_role(made.role_name);
    made.role = pg::find_role(made.role_name).value();
    (void)templates::grant_privileges(privileges, made.role_name);
    templates::check_closure(made);
    return made.role_name;
}

std::string template_role(const DryRunArguments& asked, const Plan& plan) {
    if (asked.privileges) return make_template(*asked.privileges, asked, plan);
    templates::check_closure(*plan.of);
    return plan.of->role_name;
}

Stage set_up(const DryRunArguments& asked, const Plan& plan) {
    const auto role = unlikely_name("grant");
    const auto reader = unlikely_name("reader");
    const auto held = template_role(asked, plan);
    make_role(role);
    pg::command("GRANT " + pg::quote(held) + " TO " + pg::quote(role));
    // Of the ways into every schema the one that lets nothing be read.
    make_role(reader);
    pg::command("GRANT pg_write_all_data TO " + pg::quote(reader));
    Stage stage{pg::find_role(role).value(), pg::find_role(reader).value()};
    const bool inherits = !plan.of || (!plan.of->set_role && !plan.of->login);
    if (plan.person && inherits) {
        pg::command("GRANT " + pg::quote(role) + " TO " + pg::quote(plan.person->name));
        stage.user = plan.person->role;
    }
    return stage;
}

// ---- one statement --------------------------------------------------------------------------------------------------

constexpr std::string_view insufficient_privilege = "42501";

constexpr std::string_view cancelled = "57014";

void set_fault(Outcome& to, const pg::Fault& fault, const std::string& message) {
    to.outcome = fault.sqlstate == insufficient_privilege ? "denied" : "failed";
    to.sqlstate = fault.sqlstate;
    to.message = fault.sqlstate == cancelled ? "it took longer than the statement_timeout" : message;
}

bool is_refusal(const pg::Fault& fault) { return fault.ours && fault.sqlstate == core::entry(Code::guarded).sqlstate; }

void set_refusal(Outcome& to, const std::string& why) {
    to.outcome = "refused";
    to.sqlstate = std::string(core::entry(Code::guarded).sqlstate);
    to.message = why;
}

// What the statement lacks, as the stage's user. Nothing is run, and nothing is left.
struct Reading {
    std::optional<pg::Fault> fault;
    std::optional<std::string> refused;
    required_privileges::RequiredPrivileges answer;
};

Reading read(const std::string& statement, const Stage& stage, const Plan& plan, const std::string& path,
             std::optional<RoleId> reader) {
    Reading reading;
    sandbox::Found found;
    pg::in_rolled_back_subtransaction([&] {
        reading.fault = pg::attempt([&] {
            pg::set_search_path(path);
            if (!plan.is_patient) pg::set_short_lock_timeout();
            const pg::Impersonate pretend(stage.user, pg::Restricted::yes);
            const sandbox::Scope scope(sandbox::Mode::judge, plan.allows_code, found);
            const pg::MessageSuppression silence;
            const pg::CancelTimer countdown(plan.timeout);
            reading.answer = required_privileges::of(statement, reader);
        });
    });
    reading.refused = found.refused;
    return reading;
}

// A name that was not found may be one in a schema that may not be walked into.
bool may_be_hidden(const pg::Fault& fault) {
    constexpr std::array<std::string_view, 5> states = {insufficient_privilege, "42P01", "42883", "42704", "3F000"};
    return std::find(states.begin(), states.end(), fault.sqlstate) != states.end();
}

Reading read(const std::string& statement, const Stage& stage, const Plan& plan, const std::string& path) {
    auto first = read(statement, stage, plan, path, std::nullopt);
    if (!first.fault || first.refused || !may_be_hidden(*first.fault)) return first;
    auto second = read(statement, stage, plan, path, stage.reader);
    if (second.fault || second.refused) return second;
    return second.answer.missing.empty() ? first : second;
}

void set_reading(Outcome& to, const Reading& reading) {
    if (reading.refused) return set_refusal(to, *reading.refused);
    if (reading.fault && is_refusal(*reading.fault)) return set_refusal(to, reading.fault->message);
    if (reading.fault) return set_fault(to, *reading.fault, reading.fault->message);
    to.missing = reading.answer.missing;
    switch (reading.answer.permission) {
        case required_privileges::Permission::allowed: to.outcome = "allowed"; break;
        case required_privileges::Permission::denied:
            to.outcome = "denied";
            to.sqlstate = std::string(insufficient_privilege);
            break;
        case required_privileges::Permission::unknown:
            to.outcome = "unknown";
            to.message = "Which privileges it needs is known when it runs: mode => 'execute'.";
            break;
    }
}

// A sequence that was read stays locked to the end of the transaction, by whomever it was read.
std::vector<std::uint32_t> sequences_in_use() {
    std::vector<std::uint32_t> sequences;
    for (const auto& row : pg::query(
             "SELECT c.oid::bigint FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation WHERE "
             "l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND "
             "c.relkind = 'S' ORDER BY c.relname"))
        sequences.push_back(static_cast<std::uint32_t>(row.get<std::int64_t>(0)));
    return sequences;
}

// The intent, before anything runs. A rollback of whatever transaction this is leaves it on the record.
class Recorded {
public:
    Recorded(const std::string& statement, const Plan& plan) : text_(describe(statement, plan)) {
        session::close_uses_at_end();
        recorder::begin(enforcement::without_grant(),
                        {.key = this, .tag = "DRY RUN", .text = pg::redact_secrets(text_)}, pg::both_clocks());
        recorder::enter(this);
    }
    ~Recorded() {
        if (!is_open_) return;
        recorder::leave(this);
        recorder::fail(this, cancelled);
    }
    Recorded(const Recorded&) = delete;
    Recorded& operator=(const Recorded&) = delete;

    void close(const Outcome& outcome) noexcept {
        is_open_ = false;
        recorder::leave(this);
        if (outcome.sqlstate)
            recorder::fail(this, *outcome.sqlstate);
        else
            recorder::complete(this, static_cast<std::uint64_t>(outcome.rows.value_or(0)));
    }

private:
    static std::string describe(const std::string& statement, const Plan& plan) {
        std::string about = plan.of ? "template " + plan.of->name : std::string("privileges that are tried");
        if (plan.person && plan.person->name.find("*/") == std::string::npos) about += ", as " + plan.person->name;
        return "/* dry run: " + about + " */ " + statement;
    }

    std::string text_;
    bool is_open_ = true;
};

Outcome execute(const std::string& statement, const Stage& stage, const Plan& plan, std::string& path,
                redaction::Held& held) {
    Outcome outcome{.statement = statement};
    const auto reading = read(statement, stage, plan, path);
    Recorded recorded(statement, plan);
    const auto before = sequences_in_use();
    sandbox::Found found;
    const auto fault = pg::attempt([&] {
        required_privileges::require_one(statement);
        pg::disable_parallel_query();
        pg::set_search_path(path);
        {
            const pg::Impersonate pretend(stage.user, pg::Restricted::no);
            const sandbox::Scope scope(sandbox::Mode::run, plan.allows_code, found);
            const pg::MessageSuppression silence;
            const pg::CancelTimer countdown(plan.timeout);
            outcome.rows = static_cast<std::int64_t>(pg::run_and_discard(statement));
        }
        path = pg::search_path();
        pg::set_search_path(own_path);
    });
    for (const auto one : sequences_in_use())
        if (std::find(before.begin(), before.end(), one) == before.end()) held.sequences.push_back(one);
    outcome.missing = found.missing;
    if (found.refused) {
        set_refusal(outcome, *found.refused);
    } else if (fault) {
        const auto message = redaction::message(*fault, statement, reading.fault ? reading.fault->message : "", held);
        if (is_refusal(*fault))
            set_refusal(outcome, message);
        else
            set_fault(outcome, *fault, message);
        if (outcome.outcome == "denied" && outcome.missing.empty()) outcome.missing = reading.answer.missing;
    } else {
        outcome.outcome = "allowed";
    }
    if (fault || found.refused) outcome.rows.reset();
    recorded.close(outcome);
    return outcome;
}

Outcome check(const std::string& statement, const Stage& stage, const Plan& plan) {
    Outcome outcome{.statement = statement};
    set_reading(outcome, read(statement, stage, plan, plan.path));
    return outcome;
}

std::vector<Outcome> play(const DryRunArguments& asked, const Plan& plan) {
    std::vector<Outcome> outcomes;
    std::vector<redaction::Held> held(asked.statements->size());
    pg::in_rolled_back_subtransaction([&] {
        const auto stage = set_up(asked, plan);
        auto path = plan.path;
        for (const auto& statement : statements_of(asked))
            outcomes.push_back(plan.executes ? execute(statement, stage, plan, path, held[outcomes.size()])
                                             : check(statement, stage, plan));
    });
    if (plan.executes) redaction::settle(outcomes, held);
    return outcomes;
}

}  // namespace

std::vector<Outcome> run(const DryRunArguments& asked, const principal::Origin& origin) {
    const auto me = principal::caller();
    auto plan = plan_of(asked);
    if (plan.executes)
        require_executor(me, plan, origin);
    else
        require_checker(me, asked, plan);
    return play(asked, plan);
}

std::vector<Outcome> repeat(const DryRunArguments& asked) { return play(asked, plan_of(asked)); }

void check(const DryRunArguments& asked) { (void)plan_of(asked); }

}  // namespace jit::dry_run
