#include "jit_access/core/policy.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <utility>

#include "jit_access/core/duration.hpp"

namespace jit::core {

namespace {

constexpr std::array<std::string_view, 3> risk_names{"low", "medium", "high"};
constexpr std::array<std::string_view, 3> answer_names{"denied", "needs approval", "allowed"};

std::string quoted(const std::string& name) { return "\"" + name + "\""; }

void object_to_requester(const PolicyFacts& facts, std::vector<Failure>& objections) {
    if (facts.requester.is_superuser)
        objections.emplace_back(Code::not_permitted, "a superuser cannot ask for access",
                                "A superuser has every privilege already, and no deadline would apply.",
                                "Ask as an ordinary login.");
    if (facts.kind == RequestKind::request && !facts.requester.is_listed)
        objections.emplace_back(
            Code::not_permitted,
            quoted(facts.requester.name) + " may not ask for template " + quoted(facts.policy.template_name),
            "Neither this login nor a role it belongs to is among the template's requesters.",
            "An administrator can add it with jit_alter_template.");
    if (facts.kind == RequestKind::break_glass && !facts.break_glass.is_responder)
        objections.emplace_back(
            Code::not_permitted,
            quoted(facts.requester.name) + " may not break the glass for template " +
                quoted(facts.policy.template_name),
            "Neither this login nor a role it belongs to is among the template's responders; a group that every login "
            "is in does not count, nor one that comes with a grant.",
            "Ask for it with jit_request; an administrator can add responders with jit_alter_template.");
}

void object_to_client(const PolicyFacts& facts, std::vector<Failure>& objections) {
    const auto why = facts.client ? objection(facts.conditions, *facts.client) : std::nullopt;
    if (why)
        objections.emplace_back(Code::not_from_here,
                                "template " + quoted(facts.policy.template_name) + " may not be requested from here",
                                *why, "Connect as the template demands, or ask an administrator.");
}

void object_to_duration(const PolicyFacts& facts, std::vector<Failure>& objections) {
    if (facts.duration > facts.policy.max_duration)
        objections.emplace_back(Code::limit_exceeded,
                                "the duration is over the maximum of template " + quoted(facts.policy.template_name),
                                format_duration(facts.duration) + " was asked for; the maximum is " +
                                    format_duration(facts.policy.max_duration) + ".",
                                "Ask for less; an approver can extend a grant up to the maximum.");
}

void object_to_count(std::int64_t count, std::int32_t cap, const std::string& whose, const std::string& what,
                     const std::string& hint, std::vector<Failure>& objections) {
    if (cap == 0 || count < cap) return;
    objections.emplace_back(
        Code::limit_exceeded, "too many grants",
        whose + " has " + std::to_string(count) + " " + what + "; the template allows " + std::to_string(cap) + ".",
        hint);
}

void object_to_usage(const PolicyFacts& facts, std::vector<Failure>& objections) {
    const auto& policy = facts.policy;
    const auto& usage = facts.usage;
    const std::string tmpl = "Template " + quoted(policy.template_name);
    object_to_count(usage.person_now, policy.person_at_once, quoted(facts.requester.name), "of it at once",
                    "Give one back with jit_revoke, or wait for its end.", objections);
    object_to_count(usage.person_today, policy.person_per_day, quoted(facts.requester.name), "of it in 24 hours",
                    "Ask later.", objections);
    object_to_count(usage.template_now, policy.template_at_once, tmpl, "grants at once", "Wait for the end of one.",
                    objections);
    object_to_count(usage.template_today, policy.template_per_day, tmpl, "grants in 24 hours", "Ask later.",
                    objections);
    if (policy.cool_down && usage.last_end && facts.now - *usage.last_end < *policy.cool_down)
        objections.emplace_back(
            Code::limit_exceeded, "too soon after the last grant",
            "It takes " + format_duration(*policy.cool_down) + " from the end of one to the next; " +
                format_duration(std::max<std::int64_t>(facts.now - *usage.last_end, 0)) + " have passed.",
            "Ask later.");
}

void object_to_hours(const PolicyFacts& facts, std::vector<Failure>& objections) {
    if (facts.hours.open() || (facts.start == Start::when_allowed && facts.hours.next)) return;
    const std::string what = "the windows of template " + quoted(facts.policy.template_name) + " are closed";
    const std::string when = format_moment(facts.starts_at);
    if (facts.hours.next)
        objections.emplace_back(
            Code::limit_exceeded, what + (facts.start == Start::now ? "" : " at that time"),
            "It would start at " + when + "; they open at " + format_moment(*facts.hours.next) + ".",
            facts.start == Start::now ? "Try again then."
                                      : "Ask for a start when they are open, or leave starts_at out.");
    else
        objections.emplace_back(Code::limit_exceeded, what, "They do not open within 90 days after " + when + ".",
                                "An administrator can change them: see jit_access.windows.");
}

// A person with an unreviewed break-glass grant cannot get another one, for any template.
void object_to_break_glass(const PolicyFacts& facts, std::vector<Failure>& objections) {
    if (facts.kind != RequestKind::break_glass) return;
    if (facts.break_glass.unreviewed)
        objections.emplace_back(
            Code::unreviewed, "break-glass " + std::to_string(*facts.break_glass.unreviewed) + " has not been reviewed",
            quoted(facts.requester.name) + " cannot start another until then.",
            "Ask an approver to run jit_review(" + std::to_string(*facts.break_glass.unreviewed) +
                ", ...), or for an approval with jit_request.");
    const auto& policy = facts.policy;
    if (!policy.break_glass_duration)
        objections.emplace_back(Code::not_permitted,
                                "there is no break-glass for template " + quoted(policy.template_name),
                                "The template sets no duration for break-glass.", "Ask for it with jit_request.");
    else if (facts.duration > *policy.break_glass_duration)
        objections.emplace_back(
            Code::limit_exceeded,
            "the duration exceeds the break-glass maximum of template " + quoted(policy.template_name),
            format_duration(facts.duration) + " was asked for; the longest is " +
                format_duration(*policy.break_glass_duration) + ".",
            "Ask for less, or for an approval with jit_request.");
    object_to_count(facts.break_glass.today, policy.break_glass_per_day, quoted(facts.requester.name),
                    "by breaking the glass in 24 hours", "Ask for an approval with jit_request.", objections);
}

bool applies(const Rule& rule, const PolicyFacts& facts) {
    return rule.network_matches && rule.windows_are_open &&
           facts.duration <= rule.max_duration.value_or(facts.duration) &&
           facts.policy.risk <= rule.max_risk.value_or(facts.policy.risk);
}

// A denying rule denies requests that exceed one of its limits, and every request if it has no limits.
bool forbids(const Rule& rule, std::int64_t duration, Risk risk) {
    const bool bounded = rule.max_duration || rule.max_risk;
    const bool exceeded =
        (rule.max_duration && duration > *rule.max_duration) || (rule.max_risk && risk > *rule.max_risk);
    return !rule.allows && rule.network_matches && rule.windows_are_open && (!bounded || exceeded);
}

// Assigns a group of approvers to the person who made a decision: a free group, or a group whose present holder can be
// assigned to another one. This is one step of the augmenting-path algorithm for a maximum bipartite matching (Kuhn).
using Assignment = std::map<int, const Decision*>;
bool assign_group(const Decision& decision, Assignment& assigned, std::uint64_t& tried) {
    for (auto left = decision.groups; left != 0; left &= left - 1) {
        const int group = std::countr_zero(left);
        if ((tried >> group & 1) != 0) continue;
        tried |= std::uint64_t{1} << group;
        const auto holder = assigned.find(group);
        if (holder == assigned.end() || assign_group(*holder->second, assigned, tried)) {
            assigned[group] = &decision;
            return true;
        }
    }
    return false;
}

}  // namespace

std::optional<Risk> risk_from(std::string_view text) noexcept {
    for (std::size_t i = 0; i < risk_names.size(); ++i)
        if (risk_names.at(i) == text) return static_cast<Risk>(i);
    return std::nullopt;
}

std::string_view to_string(Eligibility answer) noexcept { return answer_names.at(static_cast<std::size_t>(answer)); }

std::int32_t count_approvals(const std::vector<Decision>& decisions, const PersonId& requester, bool distinct_groups) {
    std::map<PersonId, Decision> people;
    for (const auto& decision : decisions) {
        if (!decision.approves || !decision.is_current || decision.groups == 0 || decision.person == requester)
            continue;
        people.try_emplace(decision.person, decision).first->second.groups |= decision.groups;
    }
    if (!distinct_groups) return static_cast<std::int32_t>(people.size());
    Assignment assigned;
    for (const auto& [person, decision] : people) {
        std::uint64_t tried = 0;
        assign_group(decision, assigned, tried);
    }
    return static_cast<std::int32_t>(assigned.size());
}

Ruling decide(const PolicyFacts& facts) {
    Ruling ruling{.kind = facts.kind};
    object_to_requester(facts, ruling.objections);
    object_to_break_glass(facts, ruling.objections);
    object_to_client(facts, ruling.objections);
    object_to_duration(facts, ruling.objections);
    object_to_hours(facts, ruling.objections);
    object_to_usage(facts, ruling.objections);
    if (std::any_of(facts.decisions.begin(), facts.decisions.end(),
                    [](const Decision& decision) { return !decision.approves; }))
        ruling.objections.emplace_back(Code::wrong_state, "it was denied", "One denial decides.");
    for (const auto& rule : facts.rules) {
        if (forbids(rule, facts.duration, facts.policy.risk))
            ruling.objections.emplace_back(Code::not_permitted, "rule " + quoted(rule.name) + " forbids it",
                                           "A rule that denies takes precedence over rules and approvals.",
                                           "Ask an administrator.");
        if (facts.kind == RequestKind::request && rule.allows && applies(rule, facts) && !ruling.rule)
            ruling.rule = rule.name;
    }
    ruling.approvals = count_approvals(facts.decisions, facts.requester.person, facts.policy.distinct_groups);
    const bool needs_none = ruling.rule || facts.kind == RequestKind::break_glass;
    ruling.missing = needs_none ? 0 : std::max(facts.policy.approvals_needed - ruling.approvals, 0);
    if (ruling.objections.empty())
        ruling.answer = ruling.missing == 0 ? Eligibility::allowed : Eligibility::needs_approval;
    if (!facts.hours.open()) ruling.windows_open_at = facts.hours.next;
    if (facts.hours.until && *facts.hours.until - facts.starts_at < facts.duration)
        ruling.windows_close_at = facts.hours.until;
    return ruling;
}

std::int64_t start_of_grant(Start start, std::int64_t starts_at, const Hours& hours) noexcept {
    return start == Start::when_allowed && !hours.open() ? hours.next.value_or(starts_at) : starts_at;
}

std::vector<std::string> Ruling::reasons() const {
    std::vector<std::string> texts;
    for (const auto& objection : objections)
        texts.push_back(objection.message + (objection.detail.empty() ? "" : ": " + objection.detail));
    if (rule) texts.push_back("rule " + quoted(*rule) + " allows it without an approval");
    if (answer == Eligibility::needs_approval)
        texts.push_back("it has " + std::to_string(approvals) + (approvals == 1 ? " approval" : " approvals") +
                        " that count and needs " + std::to_string(missing) + " more");
    if (answer == Eligibility::allowed && kind == RequestKind::break_glass)
        texts.emplace_back("it is a break-glass: it needs no approval, and a review follows");
    else if (answer == Eligibility::allowed && !rule)
        texts.push_back("it has the " + std::to_string(approvals) + (approvals == 1 ? " approval" : " approvals") +
                        " it needs");
    if (objections.empty() && windows_open_at)
        texts.push_back("its windows are closed: it opens at " + format_moment(*windows_open_at));
    if (objections.empty() && windows_close_at)
        texts.push_back("it ends when its windows close, at " + format_moment(*windows_close_at));
    return texts;
}

std::optional<Failure> objection_to(const Extension& extension, const Policy& policy, std::int64_t id) {
    const std::string what = "cannot extend request " + std::to_string(id);
    if (extension.by_holder && extension.break_glass)
        return Failure(
            Code::not_permitted, what, "The holder of a break-glass grant cannot extend it.",
            "Ask an approver to run jit_extend(" + std::to_string(id) + ", ...), or for an approval with jit_request.");
    if (extension.by_holder && extension.by > policy.holder_extension - extension.by_holder_so_far)
        return Failure(Code::limit_exceeded, what,
                       "The holder may add " + format_duration(policy.holder_extension) + " in all, and has added " +
                           format_duration(extension.by_holder_so_far) + ".",
                       "Ask an approver to run jit_extend(" + std::to_string(id) + ", ...).");
    const auto ceiling = extension.break_glass ? policy.break_glass_duration.value_or(0)
                                               : policy.total_duration.value_or(policy.max_duration);
    const auto total = extension.ends_at + extension.by - extension.activated_at;
    if (total > ceiling)
        return Failure(Code::limit_exceeded, what,
                       "It would last " + format_duration(total) + " in all; the maximum of template " +
                           quoted(policy.template_name) + " is " + format_duration(ceiling) + ".",
                       "Extend by less, or ask again when it has ended.");
    for (const auto& rule : extension.rules)
        if (forbids(rule, total, policy.risk))
            return Failure(
                Code::not_permitted, what,
                "Rule " + quoted(rule.name) + " forbids it: it would last " + format_duration(total) + " in all.",
                "Ask an administrator.");
    if (!extension.hours.open() || (extension.hours.until && extension.ends_at + extension.by > *extension.hours.until))
        return Failure(
            Code::limit_exceeded, what,
            "The windows of template " + quoted(policy.template_name) +
                (extension.hours.until ? " close at " + format_moment(*extension.hours.until) + "." : " are closed."),
            "Extend by less, or ask again when they open.");
    return std::nullopt;
}

}  // namespace jit::core
