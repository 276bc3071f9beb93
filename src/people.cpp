#include "jit_access/people.hpp"

#include <algorithm>

#include "jit_access/attempt.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"

namespace jit::people {

using core::Code;
using core::Failure;
using pg::RoleId;

namespace {

bool listed(const Person& person, std::int64_t template_id, const char* part) {
    const auto rows = pg::query("SELECT role FROM jit_access.template_person WHERE template_id = $1 AND part = $2",
                                {template_id, std::string(part)});
    return std::any_of(rows.begin(), rows.end(),
                       [&](const pg::Row& row) { return pg::is_member(person.role, row.get<RoleId>(0)); });
}

}  // namespace

Person asking() {
    if (!pg::is_somebody_asking())
        attempt::refuse(
            {Code::not_permitted, "nobody is asking",
             "Requests and decisions are made in a client's own session, not by background work or maintenance.",
             "Call the function from a session of your own."});
    const RoleId role = pg::session_user();
    return {role, pg::role_name(role).value_or("")};
}

void require_own_statement(const Person& person, const Origin& origin, const std::string& what) {
    if (!origin.objection) return;
    attempt::refuse({Code::not_own_statement, what + " only by a statement that \"" + person.name + "\" has sent",
                     *origin.objection,
                     "Send the call as a SELECT of its own, over nothing but views of jit_access. If you have not sent "
                     "it, somebody wants to act in your name: look at what you ran."});
}

bool is_admin(const Person& person) {
    if (pg::is_superuser(person.role)) return true;
    const auto admin = pg::find_role(core::admin_role);
    return admin && pg::is_member(person.role, *admin);
}

bool may_audit(RoleId role) {
    const auto auditor = pg::find_role(core::auditor_role);
    return is_admin({role, {}}) || (auditor && pg::is_member(role, *auditor));
}

void require_admin(const Person& person) {
    if (is_admin(person)) return;
    throw Failure(Code::not_permitted, "only an administrator of jit_access may do this",
                  "\"" + person.name + "\" is neither a superuser nor a member of jit_admin.",
                  "Ask a superuser for GRANT jit_admin, or ask an administrator to do it.");
}

void require_auditor(const Person& person) {
    if (may_audit(person.role)) return;
    throw Failure(Code::not_permitted, "only an auditor of jit_access may do this",
                  "\"" + person.name + "\" is neither a superuser nor a member of jit_auditor or jit_admin.",
                  "Ask a superuser for GRANT jit_auditor.");
}

bool may_request(const Person& person, std::int64_t template_id) { return listed(person, template_id, "requester"); }
bool may_decide(const Person& person, std::int64_t template_id) { return listed(person, template_id, "approver"); }

std::vector<Person> named(const pg::TextArray& names, const char* what) {
    std::vector<Person> people;
    for (const auto& name : names) {
        const auto role = pg::find_role(name);
        if (!role)
            throw Failure(Code::invalid_argument, std::string("invalid ") + what,
                          "There is no role \"" + pg::excerpt(name) + "\".",
                          "Names are matched exactly, without quotes and without folding to lower case.");
        if (std::any_of(people.begin(), people.end(), [&](const Person& p) { return p.role == *role; })) continue;
        people.push_back({*role, name});
    }
    return people;
}

}  // namespace jit::people
