#include "jit_access/grants/eligibility.hpp"
#include "jit_access/policy/template_settings.hpp"

#include "jit_access/grants/ruling.hpp"

namespace jit::eligibility {

using principal::Person;
using templates::Template;

namespace {

// Logins that could approve it for this person; of many, some.
pg::TextArray approvers_of(const Template& of, const Person& requester) {
    constexpr std::size_t many = 50;
    pg::TextArray names;
    const auto person = principal::person_of(requester);
    for (const auto& row : pg::query(
             "WITH RECURSIVE members (role) AS (SELECT role FROM jit_access.template_person WHERE template_id = $1 AND "
             "part = 'approver' UNION SELECT x.member FROM pg_catalog.pg_auth_members x JOIN members m ON x.roleid = "
             "m.role) SELECT a.oid, a.rolname::text FROM members m JOIN pg_catalog.pg_authid a ON a.oid = m.role WHERE "
             "a.rolcanlogin ORDER BY 2 LIMIT 1000",
             {of.id})) {
        const Person approver{row.get<pg::RoleId>(0), row.get<std::string>(1)};
        if (principal::person_of(approver) != person && principal::may_decide(approver, of.id))
            names.push_back(approver.name);
        if (names.size() == many) break;
    }
    return names;
}

Row explain_template(const Template& of, const Person& who, std::int64_t duration) {
    const auto ruling = ruling::for_new_request(who, of, duration);
    auto reasons = ruling.reasons();
    const auto approvers = approvers_of(of, who);
    if (ruling.answer == core::Eligibility::needs_approval &&
        static_cast<std::int32_t>(approvers.size()) < ruling.missing)
        reasons.emplace_back("there are not as many people who could approve it");
    return {of.name,
            std::string(core::to_string(ruling.answer)),
            ruling.missing,
            approvers,
            of.default_duration ? pg::Value(*of.default_duration) : pg::Value(),
            of.max_duration,
            reasons};
}

}  // namespace

std::vector<Row> explain(const Person& who, const std::optional<std::string>& template_name,
                    const std::optional<core::IntervalParts>& duration) {
    std::optional<std::int64_t> wanted;
    if (duration) wanted = templates::checked_duration(*duration, "duration");
    const auto row_for = [&](const Template& one) {
        return explain_template(one, who, wanted.value_or(one.default_duration.value_or(core::us_per_second)));
    };
    if (template_name) return {row_for(templates::read(template_name))};
    std::vector<Row> rows;
    for (const auto& one : templates::all())
        if (principal::may_request(who, one.id)) rows.push_back(row_for(one));
    return rows;
}

}  // namespace jit::eligibility
