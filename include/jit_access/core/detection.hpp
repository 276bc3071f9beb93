// The alert rules and their arithmetic.
//
// alert_rules is the only list of rules in C++. A rule also needs a row in sql/80_alert_rule.sql, which holds its
// settings (severity, threshold, within), and a row in docs/alerts.md; test/arch/alert_rules compares the three. A rule
// whose evaluator does not exist does not compile (oversight/detection.cpp).
//
// The functions below are pure. The worker calls them while it evaluates a batch of the record. Times are those of the
// records, in microseconds since 2000-01-01 UTC, so a record that is read late is judged by the time of its event.
#pragma once

#include "jit_access/core/zone.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace jit::core {

// ---- the rules ------------------------------------------------------------------------------------------------------

// How the worker evaluates a rule: the function evaluate<Evaluator::...> in oversight/detect_*.hpp.
enum class Evaluator : std::uint8_t {
    occurrences,  // counts the records that match the rule's signal
    unusual_hours,
    unusual_template,
    new_network,
    unusual_rows
};

// The person an alert is about. `member` is the role that received a membership by hand.
enum class Subject : std::uint8_t { login, holder, member, nobody };

// Whether the occurrences of a person are counted together, or separately for each template or each grant.
enum class CountedBy : std::uint8_t { person, person_and_template, person_and_grant };

// A condition on a record, in addition to the kind and the SQLSTATE of the signal.
enum class Condition : std::uint8_t {
    none,
    under_a_grant,
    not_justified,
    lag_reaches_threshold,
    in_own_block,     // the client has sent a DO block that names the function
    not_in_own_block  // the client has sent no such block, so the call may come from code of another user
};

// Some alerts are raised by the transaction that they are about, because they must exist even if no worker runs. The
// worker then only adds the evidence.
enum class RaisedBy : std::uint8_t { worker, transaction };

// The records that Evaluator::occurrences counts.
struct Signal {
    std::string_view kind;      // of the record
    std::string_view sqlstate;  // of a refusal; empty: any
    Condition condition = Condition::none;
};

struct AlertRule {
    std::string_view name;
    Evaluator evaluator = Evaluator::occurrences;
    Subject subject = Subject::login;
    CountedBy counted_by = CountedBy::person;
    bool names_grant = false;  // the alert belongs to a grant; a person gets one alert for each grant
    bool may_suspend = false;  // only the holder can cause the evidence, so no other user can cause a suspension
    RaisedBy raised_by = RaisedBy::worker;
    Signal signal{};  // empty for other evaluators
};

inline constexpr std::array alert_rules{
    AlertRule{
        .name = "repeated_requests", .counted_by = CountedBy::person_and_template, .signal = {.kind = "requested"}},
    AlertRule{.name = "unusual_hours", .evaluator = Evaluator::unusual_hours, .names_grant = true, .may_suspend = true},
    AlertRule{
        .name = "unusual_template", .evaluator = Evaluator::unusual_template, .names_grant = true, .may_suspend = true},
    AlertRule{.name = "repeated_denials", .subject = Subject::holder, .signal = {.kind = "denied"}},
    AlertRule{.name = "refusal_burst",
              .counted_by = CountedBy::person_and_grant,
              .names_grant = true,
              .may_suspend = true,
              .signal = {.kind = "refusal", .condition = Condition::under_a_grant}},
    AlertRule{.name = "new_network", .evaluator = Evaluator::new_network, .names_grant = true, .may_suspend = true},
    AlertRule{.name = "failed_second_factor", .signal = {.kind = "refusal", .sqlstate = "JA020"}},
    AlertRule{.name = "self_approval", .signal = {.kind = "refusal", .sqlstate = "JA006"}},
    AlertRule{.name = "trap_approval",
              .signal = {.kind = "refusal", .sqlstate = "JA018", .condition = Condition::not_in_own_block}},
    AlertRule{.name = "approval_in_block",
              .signal = {.kind = "refusal", .sqlstate = "JA018", .condition = Condition::in_own_block}},
    AlertRule{.name = "attempt_flood", .signal = {.kind = "attempts folded"}},
    AlertRule{.name = "break_glass",
              .counted_by = CountedBy::person_and_grant,
              .names_grant = true,
              .raised_by = RaisedBy::transaction,
              .signal = {.kind = "break-glass"}},
    AlertRule{.name = "break_glass_not_justified",
              .subject = Subject::holder,
              .counted_by = CountedBy::person_and_grant,
              .names_grant = true,
              .raised_by = RaisedBy::transaction,
              .signal = {.kind = "reviewed", .condition = Condition::not_justified}},
    AlertRule{.name = "unusual_rows", .evaluator = Evaluator::unusual_rows, .names_grant = true, .may_suspend = true},
    AlertRule{.name = "drift",
              .subject = Subject::member,
              .counted_by = CountedBy::person_and_grant,
              .names_grant = true,
              .signal = {.kind = "drift"}},
    AlertRule{.name = "session_outlived",
              .subject = Subject::holder,
              .counted_by = CountedBy::person_and_grant,
              .names_grant = true,
              .signal = {.kind = "session outlived"}},
    AlertRule{.name = "record_lag",
              .subject = Subject::nobody,
              .signal = {.kind = "record lagged", .condition = Condition::lag_reaches_threshold}},
    AlertRule{.name = "chain_broken", .subject = Subject::nobody, .signal = {.kind = "chain broken"}},
    AlertRule{.name = "clock_jump", .subject = Subject::nobody, .signal = {.kind = "clock jumped"}},
    AlertRule{.name = "scenario_failed", .subject = Subject::nobody, .signal = {.kind = "scenario failed"}},
    AlertRule{.name = "drill_failed", .subject = Subject::nobody, .signal = {.kind = "drill failed"}},
    AlertRule{.name = "review_overdue", .subject = Subject::nobody, .signal = {.kind = "review overdue"}},
};

static_assert(std::ranges::all_of(alert_rules,
                                  [](const AlertRule& rule) {
                                      return (rule.evaluator == Evaluator::occurrences) != rule.signal.kind.empty();
                                  }),
              "a rule has either a signal that is counted or an evaluator of its own");
static_assert(std::ranges::all_of(alert_rules,
                                  [](const AlertRule& rule) { return rule.names_grant || !rule.may_suspend; }),
              "a rule that may suspend a grant names the grant");

// Returns null if there is no such rule.
[[nodiscard]] constexpr const AlertRule* find_alert_rule(std::string_view name) noexcept {
    const auto* rule = std::ranges::find(alert_rules, name, &AlertRule::name);
    return rule != alert_rules.end() ? rule : nullptr;
}

// The name of a rule for C++ code that refers to one. A name that is not in alert_rules does not compile.
[[nodiscard]] consteval std::string_view alert_rule_name(std::string_view name) {
    return find_alert_rule(name) != nullptr ? name : throw "no such rule in alert_rules, core/detection.hpp";
}

// Returns the rules that count this record. Several rules may count one record.
[[nodiscard]] std::vector<const AlertRule*> rules_that_count(std::string_view kind, std::string_view sqlstate);

// ---- a threshold within a time --------------------------------------------------------------------------------------

struct Occurrence {
    std::int64_t at = 0;
    std::int64_t seq = 0;
    bool operator==(const Occurrence&) const = default;
};

// A sliding window over occurrences that are counted together. It keeps only the newest occurrences, `threshold` of
// them, because older ones do not affect whether the threshold is reached.
class OccurrenceWindow {
public:
    OccurrenceWindow(std::size_t threshold, std::int64_t within) : threshold_(threshold), within_(within) {}

    // Returns true if the threshold is reached in the interval that ends with this occurrence. Occurrences may be added
    // in any order; each counts at its own time.
    bool add(Occurrence occurrence);
    // Ordered by time.
    [[nodiscard]] std::span<const Occurrence> occurrences() const noexcept { return occurrences_; }

private:
    std::size_t threshold_;
    std::int64_t within_;
    std::vector<Occurrence> occurrences_;
};

// ---- baselines ------------------------------------------------------------------------------------------------------

// Hours are in UTC.
inline constexpr std::size_t hours_of_day = 24;
[[nodiscard]] std::size_t hour_of(std::int64_t at) noexcept;
[[nodiscard]] std::int64_t day_of(std::int64_t at) noexcept;

// `days` holds, for each hour, the number of days on which a person has been active in it. An hour is unusual if the
// person was active within two hours of it on fewer than one day in fifty. If the active hours and their neighbours
// cover more than half of the day, no hour is unusual.
[[nodiscard]] bool is_unusual_hour(const std::array<std::int32_t, hours_of_day>& days, std::size_t hour) noexcept;

// Returns the /24 or /64 of an address, or "local" if there is no address. For a text that is not an address, returns
// the text, made printable.
[[nodiscard]] std::string network_of(const std::optional<std::string>& address);

// The highest number of rows that is considered normal for a grant of the template: the 95th percentile of the
// template's last grants, but at least a third of their maximum and at least 100 rows. Returns nothing if there are
// fewer than 30 grants.
[[nodiscard]] std::optional<std::int64_t> usual_row_limit(std::vector<std::int64_t> totals);

// ---- text of alerts -------------------------------------------------------------------------------------------------

// Returns the text as a single line of at most 200 bytes. Control characters and invisible formatting become question
// marks, because alerts are read in terminals and logs.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace jit::core
