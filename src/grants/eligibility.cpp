#include "jit_access/grants/eligibility.hpp"

#include "jit_access/grants/ruling.hpp"
#include "jit_access/policy/template_settings.hpp"

namespace jit::eligibility {

using principal::Person;
using templates::Template;

namespace {

// Logins that could approve a request of this person, at most 50.
pg::TextArray find_approvers(const Template& tmpl, const Person& requester) {
    constexpr std::size_t max_approvers = 50;
    pg::TextArray names;
    const auto person = principal::person_of(requester);
    // The query only narrows the candidates; may_decide() decides. Its limit bounds the time for a group in which
    // thousands of logins are members.
    for (const auto& row : pg::query(R"sql(
             WITH RECURSIVE members (role) AS (
                 SELECT role FROM jit_access.template_person WHERE template_id = $1 AND part = 'approver'
                 UNION
                 SELECT x.member
                 FROM pg_catalog.pg_auth_members x
                 JOIN members m ON x.roleid = m.role)
             SELECT a.oid, a.rolname::text
             FROM members m
             JOIN pg_catalog.pg_authid a ON a.oid = m.role
             WHERE a.rolcanlogin
             ORDER BY 2
             LIMIT 1000
         )sql",
                                     {tmpl.id})) {
        const Person approver{row.get<pg::RoleId>(0), row.get<std::string>(1)};
        if (principal::person_of(approver) != person && principal::may_decide(approver, tmpl.id))
            names.push_back(approver.name);
        if (names.size() == max_approvers) break;
    }
    return names;
}

Row explain_template(const Template& tmpl, const Person& person, std::int64_t duration) {
    const auto ruling = ruling::for_new_request(person, tmpl, duration);
    auto reasons = ruling.reasons();
    const auto approvers = find_approvers(tmpl, person);
    if (ruling.answer == core::Eligibility::needs_approval &&
        static_cast<std::int32_t>(approvers.size()) < ruling.missing)
        reasons.emplace_back("fewer people than needed could approve it");
    return {tmpl.name,
            std::string(core::to_string(ruling.answer)),
            ruling.missing,
            approvers,
            tmpl.default_duration ? pg::Value(*tmpl.default_duration) : pg::Value(),
            tmpl.max_duration,
            reasons};
}

}  // namespace

std::vector<Row> explain(const Person& person, const std::optional<std::string>& template_name,
                         const std::optional<core::IntervalParts>& duration) {
    std::optional<std::int64_t> given;
    if (duration) given = templates::checked_duration(*duration, "duration");
    const auto row_for = [&](const Template& tmpl) {
        return explain_template(tmpl, person, given.value_or(tmpl.default_duration.value_or(core::us_per_second)));
    };
    if (template_name) return {row_for(templates::read_visible(person, template_name))};
    std::vector<Row> rows;
    for (const auto& tmpl : templates::all())
        if (principal::may_request(person, tmpl.id)) rows.push_back(row_for(tmpl));
    return rows;
}

}  // namespace jit::eligibility
