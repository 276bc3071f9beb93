// Decides, as a function of facts, whether a person gets access, and lists the conditions that are still missing.
//
// grants/ruling.cpp looks up the facts, and only this file decides from them. All objections are collected before
// anything can allow access, and all of them are reported, not only the first. Access is allowed by a rule or by the
// quorum. The quorum is a number of approvals by distinct people. Each of these people must be an approver, must not be
// the requester, and must have approved exactly the grant that would be given now. A break-glass request needs no
// approval: a responder of the template gets access at once, for a short time, unless an earlier break-glass grant of
// the same person has not been reviewed.
//
// Times are microseconds; moments are counted from 2000-01-01 00:00 UTC.
#pragma once

#include "jit_access/core/zone.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jit_access/core/conditions.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/opening_hours.hpp"

namespace jit::core {

enum class Risk : std::uint8_t { low, medium, high };

[[nodiscard]] std::optional<Risk> risk_from(std::string_view text) noexcept;

// Several logins may belong to one person; they have the same id.
using PersonId = std::string;

// The settings of a template. A cap of 0 means no cap.
struct Policy {
    std::string template_name;
    std::int32_t approvals_needed = 1;
    bool distinct_groups = false;  // each approval must come through a different approver role
    std::int64_t max_duration = 0;
    std::optional<std::int64_t> total_duration;  // extensions included; nothing: max_duration
    std::int64_t holder_extension = 0;           // total that the holder may add without an approver
    std::optional<std::int64_t> cool_down;       // from the end of a person's grant to their next one
    std::int32_t person_at_once = 0;
    std::int32_t person_per_day = 0;
    std::int32_t template_at_once = 0;
    std::int32_t template_per_day = 0;
    Risk risk = Risk::medium;
    std::optional<std::int64_t> break_glass_duration;  // nothing: no break-glass
    std::int32_t break_glass_per_day = 0;
};

// Access that must be allowed first, or immediate access that is reviewed afterwards.
enum class RequestKind : std::uint8_t { request, break_glass };

struct Requester {
    PersonId person;
    std::string name;
    bool is_superuser = false;
    bool is_listed = false;  // among the template's requesters
};

// The numbers of grants of the template, without the one that is being decided.
struct Usage {
    std::int64_t person_now = 0;
    std::int64_t person_today = 0;  // activated in the last 24 hours
    std::int64_t template_now = 0;
    std::int64_t template_today = 0;
    std::optional<std::int64_t> last_end;  // of a grant of the person
};

// Earlier break-glass requests of the person, by any of their logins.
struct BreakGlass {
    bool is_responder = false;               // of the template
    std::int64_t today = 0;                  // for the template, in the last 24 hours
    std::optional<std::int64_t> unreviewed;  // id of an unreviewed one, for any template
};

// An approval or a denial.
struct Decision {
    PersonId person;
    // One bit for each approver role of the template that the person has; 0: the approval does not count.
    std::uint64_t groups = 0;
    bool approves = false;
    bool is_current = false;  // its digest is that of the grant that would be given now
};

// The parts of a rule that concern this template and this person.
struct Rule {
    std::string name;
    bool allows = false;
    std::optional<std::int64_t> max_duration;  // nothing: no limit
    std::optional<Risk> max_risk;
    bool network_matches = true;   // the client is in a network of the rule, if it names any
    bool windows_are_open = true;  // when the grant would start
};

// The start that a ruling assumes.
enum class Start : std::uint8_t {
    when_allowed,  // at once, or as soon as the windows of the template open
    as_asked,      // at the requested moment; closed windows are an objection
    now,           // at once; closed windows are an objection
};

struct PolicyFacts {
    RequestKind kind = RequestKind::request;
    Policy policy;
    Requester requester;
    std::int64_t duration = 0;
    std::int64_t now = 0;
    Start start = Start::when_allowed;
    std::int64_t starts_at = 0;
    Hours hours;  // windows of the template at starts_at
    Conditions conditions;
    std::optional<Client> client;  // of the requester; nothing if another person acts; then no conditions are compared
    Usage usage;
    std::vector<Decision> decisions;
    std::vector<Rule> rules;
    BreakGlass break_glass;
};

enum class Eligibility : std::uint8_t { denied, needs_approval, allowed };

[[nodiscard]] std::string_view to_string(Eligibility answer) noexcept;

struct Ruling {
    RequestKind kind = RequestKind::request;
    Eligibility answer = Eligibility::denied;
    std::vector<Failure> objections;  // all of them; the request is allowed only if there are none
    std::optional<std::string> rule;  // the rule that allows it, or would allow it without the objections
    std::int32_t approvals = 0;       // that count towards the quorum
    std::int32_t missing = 0;
    std::optional<std::int64_t> windows_open_at;             // set when they are closed
    std::optional<std::int64_t> windows_close_at;            // set if they close before the end of the duration
    [[nodiscard]] std::vector<std::string> reasons() const;  // sentences for people to read
};

[[nodiscard]] Ruling decide(const PolicyFacts& facts);

// When a grant would start. The windows of rules are compared with that moment.
[[nodiscard]] std::int64_t start_of_grant(Start start, std::int64_t starts_at, const Hours& hours) noexcept;

// The number of people whose approvals count. With distinct groups, the largest number of people that can be assigned
// to approver roles so that no two share a role.
[[nodiscard]] std::int32_t count_approvals(const std::vector<Decision>& decisions, const PersonId& requester,
                                           bool distinct_groups);

// A request for more time for an active grant.
struct Extension {
    std::int64_t activated_at = 0;
    std::int64_t ends_at = 0;
    std::int64_t by = 0;
    bool by_holder = false;
    std::int64_t by_holder_so_far = 0;
    bool break_glass = false;
    Hours hours;  // windows of the template now
    std::vector<Rule> rules;
};

[[nodiscard]] std::optional<Failure> objection_to(const Extension& extension, const Policy& policy, std::int64_t id);

}  // namespace jit::core
