#include "jit_access/template.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/event.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/second_factor.hpp"

namespace jit::templates {

using core::Code;
using core::Failure;
using pg::RoleId;

namespace {

using people::Person;

constexpr std::int64_t longest_grace = core::us_per_day / 24;

constexpr const char* columns =
    "SELECT id, name, version, role, role_name, mode = 'set_role', allow_schema_change, privileges, approvals_needed, "
    "(extract(epoch FROM default_duration) * 1000000)::bigint, (extract(epoch FROM max_duration) * 1000000)::bigint, "
    "(extract(epoch FROM holder_extension) * 1000000)::bigint, (extract(epoch FROM time_to_decide) * 1000000)::bigint, "
    "reason_required, ticket_required, role_made, at_deadline::text, (extract(epoch FROM grace_period) * "
    "1000000)::bigint, object_owner, object_owner_name, allow_code, second_factor FROM jit_access.template ";

Template from_row(const pg::Row& row) {
    return {.id = row.get<std::int64_t>(0),
            .name = row.get<std::string>(1),
            .version = row.get<std::int32_t>(2),
            .role = row.get<RoleId>(3),
            .role_name = row.get<std::string>(4),
            .set_role = row.get<bool>(5),
            .allow_schema_change = row.get<bool>(6),
            .privileges = row.get<pg::TextArray>(7),
            .approvals_needed = row.get<std::int32_t>(8),
            .default_duration = row.maybe<std::int64_t>(9),
            .max_duration = row.get<std::int64_t>(10),
            .holder_extension = row.get<std::int64_t>(11),
            .time_to_decide = row.get<std::int64_t>(12),
            .reason_required = row.get<bool>(13),
            .ticket_required = row.get<bool>(14),
            .at_deadline = core::at_deadline_from(row.get<std::string>(16)).value(),
            .grace_period = row.maybe<std::int64_t>(17),
            .object_owner = row.maybe<RoleId>(18),
            .object_owner_name = row.maybe<std::string>(19),
            .allow_code = row.get<bool>(20),
            .second_factor = row.get<pg::TextArray>(21),
            .role_made = row.get<bool>(15)};
}

Failure invalid(const char* what, const std::string& detail, const std::string& hint = {}) {
    return {Code::invalid_argument, std::string("invalid ") + what, detail, hint};
}

const std::string& name_of(const Draft& draft) {
    if (!draft.name) throw invalid("template name", "It is NULL.", "Give the template a name.");
    if (const auto fault = core::fault_in_template_name(*draft.name)) throw invalid("template name", *fault);
    return *draft.name;
}

bool set_role_mode(const std::string& mode) {
    if (mode != "inherit" && mode != "set_role")
        throw invalid("mode", "\"" + pg::excerpt(mode) + "\" is not a mode.", "The modes are inherit and set_role.");
    return mode == "set_role";
}

void check_policy(const Template& policy) {
    if (policy.approvals_needed < 1 || policy.approvals_needed > 10)
        throw invalid("approvals_needed", "It is " + std::to_string(policy.approvals_needed) + ".",
                      "Ask for 1 to 10 approvals.");
    if (policy.default_duration && *policy.default_duration > policy.max_duration)
        throw invalid("default_duration", core::format_duration(*policy.default_duration) +
                                              " is more than the maximum, " +
                                              core::format_duration(policy.max_duration) + ".");
    if (policy.allow_schema_change && !policy.set_role)
        throw invalid(
            "allow_schema_change", "Only templates of mode set_role can change the schema.",
            "What is created then belongs to the temporary role and can be reclaimed: use mode => 'set_role'.");
}

void check_leavings(const Template& policy) {
    if ((policy.at_deadline == core::AtDeadline::grace) != policy.grace_period.has_value())
        throw invalid("grace_period",
                      policy.grace_period ? "It is for templates that say at_deadline => 'grace'."
                                          : "at_deadline => 'grace' needs to know for how long.",
                      "Say both at_deadline => 'grace' and grace_period, or neither.");
    if (policy.grace_period && *policy.grace_period > longest_grace)
        throw invalid("grace_period", core::format_duration(*policy.grace_period) + " is more than the maximum, " +
                                          core::format_duration(longest_grace) + ".");
    if ((policy.object_owner || policy.allow_code) && !policy.allow_schema_change)
        throw invalid(policy.object_owner ? "object_owner" : "allow_code",
                      "Nothing is made under a template that cannot change the schema.",
                      "Declare the template with allow_schema_change => true and mode => 'set_role'.");
}

core::AtDeadline at_deadline(const std::string& text) {
    if (const auto action = core::at_deadline_from(text)) return *action;
    throw invalid("at_deadline", "\"" + pg::excerpt(text) + "\" is none.",
                  "Say terminate, cancel or grace (with grace_period).");
}

// As with ALTER ... OWNER TO: only a role that the administrator could act as.
RoleId object_owner(const std::string& name, const Person& me) {
    const auto role = pg::find_role(name);
    if (!role) throw invalid("object_owner", "There is no role \"" + pg::excerpt(name) + "\".");
    if (name.starts_with(core::managed_role_prefix))
        throw invalid("object_owner", "\"" + name + "\" belongs to jit_access.", "Name a role of your own.");
    if (pg::is_superuser(*role))
        throw invalid("object_owner", "\"" + name + "\" is a superuser.",
                      "What requesters make would be a superuser's; name an ordinary role.");
    if (!pg::is_superuser(me.role) && !pg::is_member(me.role, *role))
        throw Failure(Code::not_permitted, "you cannot give objects to \"" + name + "\"",
                      "You are not a member of that role.", "Name a role you are a member of, or ask a superuser.");
    return *role;
}

void check_description(const std::optional<std::string>& description) {
    if (!description) return;
    if (const auto fault = core::fault_in_text(*description)) throw invalid("description", *fault);
}

// The policy arguments on top of what stands.
void apply(const Draft& draft, Template& policy, const Person& me) {
    if (draft.max_duration) policy.max_duration = duration(*draft.max_duration, "max_duration");
    if (draft.default_duration) policy.default_duration = duration(*draft.default_duration, "default_duration");
    if (draft.holder_extension) policy.holder_extension = duration(*draft.holder_extension, "holder_extension");
    if (draft.time_to_decide) policy.time_to_decide = duration(*draft.time_to_decide, "time_to_decide");
    if (draft.approvals_needed) policy.approvals_needed = *draft.approvals_needed;
    if (draft.reason_required) policy.reason_required = *draft.reason_required;
    if (draft.ticket_required) policy.ticket_required = *draft.ticket_required;
    if (draft.at_deadline) policy.at_deadline = at_deadline(*draft.at_deadline);
    if (policy.at_deadline != core::AtDeadline::grace) policy.grace_period.reset();
    if (draft.grace_period) policy.grace_period = duration(*draft.grace_period, "grace_period");
    if (draft.object_owner) {
        policy.object_owner = object_owner(*draft.object_owner, me);
        policy.object_owner_name = *draft.object_owner;
    }
    if (draft.second_factor) policy.second_factor = *draft.second_factor;
    second_factor::check_stages(policy.second_factor);
    check_description(draft.description);
    check_policy(policy);
    check_leavings(policy);
}

RoleId adopt_role(const std::string& name) {
    const auto role = pg::find_role(name);
    if (!role)
        throw invalid("role", "There is no role \"" + pg::excerpt(name) + "\".", "Leave role out to have one made.");
    if (name.starts_with(core::managed_role_prefix))
        throw invalid("role", "\"" + name + "\" belongs to jit_access.",
                      "Adopt a role of your own, or leave role out.");
    const auto used =
        pg::query_row("SELECT name FROM jit_access.template WHERE role = $1 AND dropped_at IS NULL", {*role});
    if (used) throw invalid("role", "Template \"" + used->get<std::string>(0) + "\" uses \"" + name + "\" already.");
    return *role;
}

RoleId make_role(const std::string& name) {
    if (pg::find_role(name))
        throw Failure(Code::duplicate_template, "role \"" + name + "\" exists already",
                      "It is left from something else, so its privileges are not known.",
                      "Drop the role, or adopt one with the argument role.");
    pg::command("CREATE ROLE " + pg::quote(name) +
                " NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT");
    return pg::find_role(name).value();
}

pg::TextArray oid_texts(const std::vector<std::uint32_t>& oids) {
    pg::TextArray texts;
    for (const auto oid : oids) texts.push_back(std::to_string(oid));
    return texts;
}

void set_people(std::int64_t template_id, const char* part, const std::vector<Person>& people) {
    pg::execute("DELETE FROM jit_access.template_person WHERE template_id = $1 AND part = $2",
                {template_id, std::string(part)});
    for (const auto& person : people)
        pg::execute(
            "INSERT INTO jit_access.template_person (template_id, part, role, role_name) VALUES ($1, $2, $3, $4)",
            {template_id, std::string(part), person.role, person.name});
}

std::string join(const pg::TextArray& items) {
    std::string text;
    for (const auto& item : items) text += (text.empty() ? "" : "; ") + item;
    return text;
}

bool has_live_grants(std::int64_t template_id) {
    return pg::query_row(
               "SELECT 1 FROM jit_access.request WHERE template_id = $1 AND (state IN ('active', 'suspended') OR "
               "cleanup = 'due') LIMIT 1",
               {template_id})
        .has_value();
}

void refuse_live(const Template& of, const char* what) {
    if (!has_live_grants(of.id)) return;
    throw Failure(Code::live_grants, std::string("cannot ") + what + " template \"" + of.name + "\"",
                  "Grants of it are live; they were approved for what it holds now.",
                  "Revoke them (jit_access.active_grants), or wait for their end.");
}

}  // namespace

std::int64_t duration(const core::IntervalParts& interval, const char* what) {
    const auto result = core::reduce(interval);
    if (result.fault)
        throw invalid(what, core::explain(*result.fault),
                      "Write hours, minutes or days, for example '2h' or '3 days'.");
    return result.microseconds;
}

namespace {

Template find_and_lock(const std::optional<std::string>& name, const char* lock) {
    if (!name) throw invalid("template name", "It is NULL.", "Name a template of jit_access.template_catalog.");
    const std::string sql = std::string(columns) + "WHERE name = $1 AND dropped_at IS NULL " + lock;
    const auto row = pg::query_row(sql.c_str(), {*name});
    if (!row)
        throw Failure(Code::unknown_template, "template \"" + pg::excerpt(*name) + "\" does not exist",
                      "Names are matched exactly.", "An administrator defines templates with jit_create_template.");
    return from_row(*row);
}

// Whoever has locked a row of the table has this lock on the table.
constexpr const char* end_who_keeps_templates =
    "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_roles u ON "
    "u.oid = a.usesysid WHERE NOT u.rolsuper AND NOT pg_catalog.pg_has_role(u.oid, $1, 'MEMBER') AND EXISTS (SELECT "
    "FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation' AND l.mode = "
    "'RowShareLock' AND l.database = a.datid AND l.relation = 'jit_access.template'::pg_catalog.regclass)";

// Against requests and decisions that are being made: they hold the row until they commit. Who leaves that open does
// not keep an administrator from changing the template; he is ended.
Template find_for_change(const std::optional<std::string>& name) {
    constexpr int patience_ms = 200;
    constexpr int step_ms = 10;
    (void)find_and_lock(name, "");
    const std::string free = std::string(columns) + "WHERE name = $1 AND dropped_at IS NULL FOR UPDATE SKIP LOCKED";
    for (int waited = 0; waited < patience_ms; waited += step_ms) {
        if (const auto row = pg::query_row(free.c_str(), {*name})) return from_row(*row);
        pg::nap(step_ms);
    }
    if (const auto admin = pg::find_role(core::admin_role)) pg::query(end_who_keeps_templates, {*admin});
    return find_and_lock(name, "FOR UPDATE");
}

}  // namespace

Template find(const std::optional<std::string>& name) { return find_and_lock(name, "FOR SHARE"); }

Template find(std::int64_t id) {
    const std::string sql = std::string(columns) + "WHERE id = $1 FOR SHARE";
    return from_row(pg::query_row(sql.c_str(), {id}).value());
}

std::string create(const Draft& draft, const people::Origin& origin) {
    const auto me = people::asking();
    people::require_admin(me);
    const auto& name = name_of(draft);
    if (pg::query_row("SELECT 1 FROM jit_access.template WHERE name = $1 AND dropped_at IS NULL", {name}))
        throw Failure(Code::duplicate_template, "template \"" + name + "\" exists already", {},
                      "Change it with jit_alter_template.");

    Template made;
    made.name = name;
    made.set_role = set_role_mode(draft.mode.value_or("inherit"));
    made.allow_schema_change = draft.allow_schema_change.value_or(false);
    made.max_duration = core::us_per_day / 3;
    made.time_to_decide = core::us_per_day;
    made.allow_code = draft.allow_code.value_or(false);
    apply(draft, made, me);
    const auto requesters = people::named(draft.requesters.value_or(pg::TextArray{}), "requesters");
    const auto approvers = people::named(draft.approvers.value_or(pg::TextArray{}), "approvers");
    made.privileges = draft.privileges.value_or(pg::TextArray{});
    if (made.privileges.empty() && !draft.role)
        throw invalid("privileges", "A template without privileges gives nothing.",
                      "List what it gives, or adopt a role that holds it with the argument role.");

    if (draft.role && !made.privileges.empty() && !pg::is_superuser(me.role))
        throw Failure(Code::not_permitted, "only a superuser can give privileges to a role that is adopted",
                      "Its members would have them at once, without a request.",
                      "Adopt the role as it is, or leave role out to have one made.");
    made.role_name = draft.role.value_or(std::string(core::template_role_prefix) + name);
    made.role = draft.role ? adopt_role(*draft.role) : make_role(made.role_name);
    const auto schemas = give(made.privileges, made.role_name);
    check_closure(made);
    people::require_own_statement(me, origin, "template \"" + name + "\" is defined");

    const auto row = pg::query_row(
        "INSERT INTO jit_access.template (name, description, role, role_name, role_made, mode, allow_schema_change, "
        "privileges, "
        "schemas, approvals_needed, default_duration, max_duration, holder_extension, time_to_decide, reason_required, "
        "ticket_required, created_at, created_by, at_deadline, grace_period, object_owner, object_owner_name, "
        "allow_code, second_factor) VALUES ($1, $2, $3, $4, $5, $6::jit_access.mode, $7, $8, $9::oid[], "
        "$10, "
        "$11::bigint * interval '1 microsecond', $12::bigint * interval '1 microsecond', $13::bigint * interval '1 "
        "microsecond', "
        "$14::bigint * interval '1 microsecond', $15, $16, pg_catalog.clock_timestamp(), $17, "
        "$18::jit_access.at_deadline, $19::bigint * interval '1 microsecond', $20, $21, $22, $23) RETURNING id",
        {name,
         pg::nullable(draft.description),
         made.role,
         made.role_name,
         !draft.role.has_value(),
         std::string(made.set_role ? "set_role" : "inherit"),
         made.allow_schema_change,
         made.privileges,
         oid_texts(schemas),
         made.approvals_needed,
         pg::nullable(made.default_duration),
         made.max_duration,
         made.holder_extension,
         made.time_to_decide,
         made.reason_required,
         made.ticket_required,
         me.name,
         std::string(core::to_string(made.at_deadline)),
         pg::nullable(made.grace_period),
         pg::nullable(made.object_owner),
         pg::nullable(made.object_owner_name),
         made.allow_code,
         made.second_factor});
    const auto id = row.value().get<std::int64_t>(0);
    set_people(id, "requester", requesters);
    set_people(id, "approver", approvers);
    event::note("template created", std::nullopt, me.name,
                {{"template", name}, {"role", made.role_name}, {"privileges", join(made.privileges)}});
    return made.role_name;
}

std::int32_t alter(const Draft& draft, const people::Origin& origin) {
    const auto me = people::asking();
    people::require_admin(me);
    Template changed = find_for_change(draft.name);
    // Who gets what is made under grants that live was approved as well; but somebody has to mend an heir that is lost.
    if (draft.object_owner && !pg::is_superuser(me.role)) refuse_live(changed, "change the object_owner of");
    apply(draft, changed, me);

    std::optional<pg::TextArray> schemas;
    if (draft.privileges) {
        if (!changed.role_made && !pg::is_superuser(me.role))
            throw Failure(Code::not_permitted, "only a superuser can give privileges to a role that is adopted",
                          "Its members would have them at once, without a request.", "Ask a superuser.");
        refuse_live(changed, "change the privileges of");
        take_privileges(changed);
        changed.privileges = *draft.privileges;
        schemas = oid_texts(give(changed.privileges, changed.role_name));
        check_closure(changed);
    }
    const auto requesters = people::named(draft.requesters.value_or(pg::TextArray{}), "requesters");
    const auto approvers = people::named(draft.approvers.value_or(pg::TextArray{}), "approvers");
    people::require_own_statement(me, origin, "template \"" + changed.name + "\" is changed");
    if (draft.requesters) set_people(changed.id, "requester", requesters);
    if (draft.approvers) set_people(changed.id, "approver", approvers);
    const auto row = pg::query_row(
        "UPDATE jit_access.template SET version = version + 1, description = coalesce($2, description), privileges = "
        "$3, "
        "schemas = coalesce($4::oid[], schemas), approvals_needed = $5, default_duration = $6::bigint * interval '1 "
        "microsecond', "
        "max_duration = $7::bigint * interval '1 microsecond', holder_extension = $8::bigint * interval '1 "
        "microsecond', "
        "time_to_decide = $9::bigint * interval '1 microsecond', reason_required = $10, ticket_required = $11, "
        "at_deadline = $12::jit_access.at_deadline, "
        "grace_period = $13::bigint * interval '1 microsecond', object_owner = $14, object_owner_name = $15, "
        "second_factor = $16 "
        "WHERE id = $1 RETURNING version",
        {changed.id, pg::nullable(draft.description), changed.privileges, pg::nullable(schemas),
         changed.approvals_needed, pg::nullable(changed.default_duration), changed.max_duration,
         changed.holder_extension, changed.time_to_decide, changed.reason_required, changed.ticket_required,
         std::string(core::to_string(changed.at_deadline)), pg::nullable(changed.grace_period),
         pg::nullable(changed.object_owner), pg::nullable(changed.object_owner_name), changed.second_factor});
    const auto version = row.value().get<std::int32_t>(0);
    event::note(
        "template changed", std::nullopt, me.name,
        {{"template", changed.name}, {"version", std::to_string(version)}, {"privileges", join(changed.privileges)}});
    return version;
}

void drop(const std::optional<std::string>& name) {
    const auto me = people::asking();
    people::require_admin(me);
    const Template gone = find_for_change(name);
    refuse_live(gone, "drop");
    const auto open = pg::query(
        "UPDATE jit_access.request SET state = 'lapsed', closed_at = pg_catalog.clock_timestamp(), closed_by = $2, "
        "close_reason = 'template dropped' WHERE template_id = $1 AND state IN ('pending', 'scheduled') RETURNING id",
        {gone.id, me.name});
    for (const auto& row : open)
        event::note("lapsed", row.get<std::int64_t>(0), me.name, {{"reason", "template dropped"}});
    pg::execute("UPDATE jit_access.template SET dropped_at = pg_catalog.clock_timestamp() WHERE id = $1", {gone.id});
    if (pg::role_name(gone.role) == gone.role_name) {
        take_privileges(gone);
        if (gone.role_made) pg::command("DROP ROLE " + pg::quote(gone.role_name));
    }
    event::note("template dropped", std::nullopt, me.name, {{"template", gone.name}});
}

}  // namespace jit::templates
