// Who may have what, and what is still missing: the decision as a function of facts.
//
// The server looks the facts up (ruling.cpp); here stands what follows from them, and nowhere else. It forgets nobody's
// "no": whatever forbids is found before anything that allows, and every objection is told, not only the first. Nothing
// is allowed but by a rule that says so or by the quorum: approvals of so many distinct people, each of whom counts and
// has approved what would be given now, none of whom is the requester. Or by breaking the glass, which needs no
// approval: by a responder of the template, for a short time, while nothing that he has done so before waits for its
// review.
#pragma once

#include "jit_access/core/zone.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jit_access/core/conditions.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/window.hpp"

namespace jit::core {

enum class Risk : std::uint8_t { low, medium, high };

[[nodiscard]] std::optional<Risk> risk_from(std::string_view text) noexcept;

// Several logins of one person have the same.
using PersonId = std::string;

// What a template says. Times are microseconds; a cap of 0 is none.
struct Policy {
    std::string template_name;
    std::int32_t approvals_needed = 1;
    bool distinct_groups = false;  // each approval from another one of the approver roles
    std::int64_t max_duration = 0;
    std::optional<std::int64_t> total_duration;  // with extensions; nothing: max_duration
    std::int64_t holder_extension = 0;           // what the holder may add himself, in all
    std::optional<std::int64_t> cool_down;       // from the end of a person's grant to his next one
    std::int32_t person_at_once = 0;
    std::int32_t person_per_day = 0;
    std::int32_t template_at_once = 0;
    std::int32_t template_per_day = 0;
    Risk risk = Risk::medium;
    std::optional<std::int64_t> break_glass_duration;  // nothing: no break-glass
    std::int32_t break_glass_per_day = 0;
};

// What is asked for: access that somebody else has to allow, or access at once that somebody else reviews afterwards.
enum class RequestKind : std::uint8_t { request, break_glass };

struct Requester {
    PersonId person;
    std::string name;
    bool superuser = false;
    bool listed = false;  // among the template's requesters
};

// Grants of the template, without the one in question.
struct Usage {
    std::int64_t person_now = 0;
    std::int64_t person_today = 0;  // made active in the last 24 hours
    std::int64_t template_now = 0;
    std::int64_t template_today = 0;
    std::optional<std::int64_t> last_end;  // of the person's
};

// What a person has broken the glass for before; he himself, by whichever login.
struct BreakGlass {
    bool responder = false;                  // of the template
    std::int64_t today = 0;                  // of the template, in the last 24 hours
    std::optional<std::int64_t> unreviewed;  // of any template
};

// A decision somebody has taken.
struct Decision {
    PersonId person;
    // One bit for each approver role of the template through which he counts; 0: he does not count.
    std::uint64_t groups = 0;
    bool approves = false;
    bool fresh = false;  // about what would be given now
};

// A rule as far as it concerns this template and this person.
struct Rule {
    std::string name;
    bool allows = false;
    std::optional<std::int64_t> max_duration;  // nothing: any
    std::optional<Risk> max_risk;
    bool here = true;  // the network it is for is the client's
    bool open = true;  // its windows are, when the grant would start
};

// How firm the start is that is decided about.
enum class Start : std::uint8_t {
    when_allowed,  // at once, or as soon as the template's windows open
    as_asked,      // at the moment that was asked for
    now,
};

struct PolicyFacts {
    RequestKind ask = RequestKind::request;
    Policy policy;
    Requester who;
    std::int64_t duration = 0;
    std::int64_t now = 0;
    Start start = Start::when_allowed;
    std::int64_t starts_at = 0;
    Hours hours;  // of the template, then
    Conditions conditions;
    std::optional<Client> client;  // the requester's, where it is he who acts
    Usage usage;
    std::vector<Decision> voices;
    std::vector<Rule> rules;
    BreakGlass break_glass;
};

enum class Eligibility : std::uint8_t { denied, needs_approval, allowed };

[[nodiscard]] std::string_view to_string(Eligibility answer) noexcept;

struct Ruling {
    RequestKind ask = RequestKind::request;
    Eligibility answer = Eligibility::denied;
    std::vector<Failure> objections;  // when denied: all of them
    std::optional<std::string> rule;  // that allowed it, or that would without the objections
    std::int32_t approvals = 0;       // that count
    std::int32_t missing = 0;
    std::optional<std::int64_t> put_off_to;                  // the windows are closed, and open then
    std::optional<std::int64_t> ends_by;                     // they close then, before the duration is over
    [[nodiscard]] std::vector<std::string> reasons() const;  // sentences, for people
};

[[nodiscard]] Ruling decide(const PolicyFacts& of);

// When a grant would begin: rules are asked about that moment.
[[nodiscard]] std::int64_t begin_of(Start start, std::int64_t starts_at, const Hours& hours) noexcept;

// How many approvals the voices come to: of distinct people, and with distinct groups each by another one of them.
[[nodiscard]] std::int32_t count_approvals(const std::vector<Decision>& voices, const PersonId& requester,
                                           bool distinct_groups);

// More time for an active grant.
struct Extension {
    std::int64_t activated_at = 0;
    std::int64_t ends_at = 0;
    std::int64_t by = 0;
    bool by_holder = false;
    std::int64_t by_holder_so_far = 0;
    bool break_glass = false;
    Hours hours;  // now
    std::vector<Rule> rules;
};

[[nodiscard]] std::optional<Failure> objection_to(const Extension& extension, const Policy& policy, std::int64_t id);

}  // namespace jit::core
