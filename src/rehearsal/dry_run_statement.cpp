#include "jit_access/rehearsal/dry_run_statement.hpp"

#include <algorithm>
#include <array>

#include "jit_access/core/failure.hpp"
#include "jit_access/enforcement/recorder.hpp"
#include "jit_access/enforcement/session.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/impersonation.hpp"
#include "jit_access/pg/redact_secrets.hpp"
#include "jit_access/statements/required_privileges.hpp"
#include "jit_access/statements/sandbox.hpp"

namespace jit::dry_run {

using core::Code;
using pg::RoleId;

namespace {

constexpr const char* own_search_path = "pg_catalog, pg_temp";

void set_fault(Outcome& outcome, const pg::Fault& fault, const std::string& message) {
    outcome.outcome = fault.sqlstate == pg::sqlstate::insufficient_privilege ? "denied" : "failed";
    outcome.sqlstate = fault.sqlstate;
    outcome.message =
        fault.sqlstate == pg::sqlstate::query_canceled ? "it took longer than the statement_timeout" : message;
}

bool is_refusal(const pg::Fault& fault) { return fault.ours && fault.sqlstate == core::entry(Code::guarded).sqlstate; }

void set_refusal(Outcome& outcome, const std::string& reason) {
    outcome.outcome = "refused";
    outcome.sqlstate = std::string(core::entry(Code::guarded).sqlstate);
    outcome.message = reason;
}

// The result of analysing a statement without running it.
struct Analysis {
    std::optional<pg::Fault> fault;
    std::optional<std::string> refusal;
    required_privileges::RequiredPrivileges privileges;
};

// Analyses as the user of the dry run. If `reader` is given, schemas are looked up with the privileges of that role,
// and USAGE that the user lacks is reported. The subtransaction undoes all effects of the functions that convert text
// to values.
Analysis analyse_once(const std::string& statement, const TemporaryRoles& roles, const Plan& plan,
                      const std::string& search_path, std::optional<RoleId> reader) {
    Analysis analysis;
    sandbox::Findings found;
    pg::in_rolled_back_subtransaction([&] {
        analysis.fault = pg::attempt([&] {
            pg::set_search_path(search_path);
            if (!plan.waits_for_locks) pg::set_short_lock_timeout();
            const pg::Impersonate impersonation(roles.user, pg::Restricted::yes);
            const sandbox::Scope scope(sandbox::Mode::check_only, plan.allows_code, found);
            const pg::MessageSuppression suppression;
            const pg::CancelTimer timer(plan.timeout);
            analysis.privileges = required_privileges::analyze(statement, reader);
        });
    });
    analysis.refusal = found.refusal;
    return analysis;
}

// An object that was not found may be in a schema on which the user lacks USAGE.
bool may_lack_usage(const pg::Fault& fault) {
    constexpr std::array<std::string_view, 5> sqlstates = {pg::sqlstate::insufficient_privilege, "42P01", "42883",
                                                           "42704", "3F000"};
    return std::find(sqlstates.begin(), sqlstates.end(), fault.sqlstate) != sqlstates.end();
}

Analysis analyse(const std::string& statement, const TemporaryRoles& roles, const Plan& plan,
                 const std::string& search_path) {
    auto first = analyse_once(statement, roles, plan, search_path, std::nullopt);
    if (!first.fault || first.refusal || !may_lack_usage(*first.fault)) return first;
    auto second = analyse_once(statement, roles, plan, search_path, roles.reader);
    if (second.fault || second.refusal) return second;
    return second.privileges.missing.empty() ? first : second;
}

void set_analysis(Outcome& outcome, const Analysis& analysis) {
    if (analysis.refusal) return set_refusal(outcome, *analysis.refusal);
    if (analysis.fault && is_refusal(*analysis.fault)) return set_refusal(outcome, analysis.fault->message);
    if (analysis.fault) return set_fault(outcome, *analysis.fault, analysis.fault->message);
    outcome.missing = analysis.privileges.missing;
    switch (analysis.privileges.permission) {
        case required_privileges::Permission::allowed: outcome.outcome = "allowed"; break;
        case required_privileges::Permission::denied:
            outcome.outcome = "denied";
            outcome.sqlstate = std::string(pg::sqlstate::insufficient_privilege);
            break;
        case required_privileges::Permission::unknown:
            outcome.outcome = "unknown";
            outcome.message = "The privileges that it needs are known only when it runs: use mode => 'execute'.";
            break;
    }
}

// nextval() keeps a lock on the sequence until the transaction ends (sequence.c, lock_and_open_sequence), which shows
// which sequences a statement has advanced, at any depth.
std::vector<std::uint32_t> locked_sequences() {
    std::vector<std::uint32_t> sequences;
    for (const auto& row : pg::query(R"sql(
             SELECT c.oid::bigint
             FROM pg_catalog.pg_locks l
             JOIN pg_catalog.pg_class c ON c.oid = l.relation
             WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock'
               AND c.relkind = 'S'
             ORDER BY c.relname)sql"))
        sequences.push_back(static_cast<std::uint32_t>(row.get<std::int64_t>(0)));
    return sequences;
}

// Writes the intent to the journal before the statement runs, and the outcome afterwards. The journal is not
// transactional, so both stay on the record when the dry run, or the transaction around it, is rolled back.
class RecordedUse {
public:
    RecordedUse(const std::string& statement, const Plan& plan) : text_(describe(statement, plan)) {
        session::close_uses_at_exit();
        recorder::begin(enforcement::no_grants(), {.key = this, .tag = "DRY RUN", .text = pg::redact_secrets(text_)},
                        pg::both_clocks());
        recorder::enter(this);
    }
    ~RecordedUse() {
        if (!is_open_) return;
        recorder::leave(this);
        recorder::fail(this, pg::sqlstate::query_canceled);
    }
    RecordedUse(const RecordedUse&) = delete;
    RecordedUse& operator=(const RecordedUse&) = delete;

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
        std::string subject = plan.tmpl ? "template " + plan.tmpl->name : std::string("privileges that are tried");
        if (plan.person && plan.person->name.find("*/") == std::string::npos) subject += ", as " + plan.person->name;
        return "/* dry run: " + subject + " */ " + statement;
    }

    std::string text_;
    bool is_open_ = true;
};

void set_execution(Outcome& outcome, const std::string& statement, const std::optional<pg::Fault>& fault,
                   const sandbox::Findings& found, const Analysis& analysis, redaction::Deferred& deferred) {
    outcome.missing = found.missing;
    if (fault || found.refusal) outcome.rows.reset();
    if (found.refusal) return set_refusal(outcome, *found.refusal);
    if (!fault) {
        outcome.outcome = "allowed";
        return;
    }
    const auto expected = analysis.fault ? analysis.fault->message : "";
    const auto message = redaction::shown_message(*fault, statement, expected, deferred);
    if (is_refusal(*fault))
        set_refusal(outcome, message);
    else
        set_fault(outcome, *fault, message);
    // The error of a check by the server does not name the missing privilege, but the analysis does.
    if (outcome.outcome == "denied" && outcome.missing.empty()) outcome.missing = analysis.privileges.missing;
}

}  // namespace

Outcome execute_statement(const std::string& statement, const TemporaryRoles& roles, const Plan& plan,
                          std::string& search_path, redaction::Deferred& deferred) {
    Outcome outcome{.statement = statement};
    const auto analysis = analyse(statement, roles, plan, search_path);
    RecordedUse recorded(statement, plan);
    const auto locked_before = locked_sequences();
    sandbox::Findings found;
    const auto fault = pg::attempt([&] {
        required_privileges::require_single_statement(statement);
        pg::disable_parallel_query();
        pg::set_search_path(search_path);
        {
            const pg::Impersonate impersonation(roles.user, pg::Restricted::no);
            const sandbox::Scope scope(sandbox::Mode::execute, plan.allows_code, found);
            const pg::MessageSuppression suppression;
            const pg::CancelTimer timer(plan.timeout);
            outcome.rows = static_cast<std::int64_t>(pg::run_and_discard(statement));
        }
        search_path = pg::search_path();
        pg::set_search_path(own_search_path);
    });
    for (const auto sequence : locked_sequences())
        if (std::find(locked_before.begin(), locked_before.end(), sequence) == locked_before.end())
            deferred.sequences.push_back(sequence);
    set_execution(outcome, statement, fault, found, analysis, deferred);
    recorded.close(outcome);
    return outcome;
}

Outcome check_statement(const std::string& statement, const TemporaryRoles& roles, const Plan& plan) {
    Outcome outcome{.statement = statement};
    set_analysis(outcome, analyse(statement, roles, plan, plan.search_path));
    return outcome;
}

}  // namespace jit::dry_run
