#include "jit_access/policy/template.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/identity/service_identity.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/policy/template_closure.hpp"
#include "jit_access/policy/template_privileges.hpp"
#include "jit_access/policy/template_settings.hpp"
#include "jit_access/shared/blocking_session.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/request_state.hpp"

namespace jit::templates {

using core::Code;
using core::Failure;
using core::invalid;
using pg::RoleId;

namespace {

const std::string& checked_name(const TemplateArguments& arguments) {
    if (!arguments.name) throw invalid("template name", "It is NULL.", "Give the template a name.");
    if (const auto fault = core::fault_in_template_name(*arguments.name)) throw invalid("template name", *fault);
    return *arguments.name;
}

void set_mode(Template& tmpl, const std::string& mode) {
    if (mode != "inherit" && mode != "set_role" && mode != "login")
        throw invalid("mode", "\"" + pg::excerpt(mode) + "\" is not a mode.",
                      "The modes are inherit, set_role and login.");
    tmpl.set_role = mode == "set_role";
    tmpl.login = mode == "login";
}

// ---- the template's role -----------------------------------------------------------------------------------------

RoleId adopt_role(const std::string& name) {
    const auto role = pg::find_role(name);
    if (!role)
        throw invalid("role", "There is no role \"" + pg::excerpt(name) + "\".", "Leave role out to have one created.");
    if (name.starts_with(core::managed_role_prefix))
        throw invalid("role", "\"" + name + "\" belongs to jit_access.",
                      "Adopt a role of your own, or leave role out.");
    const auto user =
        pg::query_row("SELECT name FROM jit_access.template WHERE role = $1 AND dropped_at IS NULL", {*role});
    if (user) throw invalid("role", "Template \"" + user->get<std::string>(0) + "\" uses \"" + name + "\" already.");
    return *role;
}

RoleId create_role(const std::string& name) {
    if (pg::find_role(name))
        throw Failure(Code::duplicate_template, "role \"" + name + "\" exists already",
                      "It was created for something else, so its privileges are not known.",
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

// ---- participants ------------------------------------------------------------------------------------------------

void check_participants(const TemplateArguments& arguments) {
    each_participant_list([&](const char*, const char* name, auto argument) {
        const auto people = principal::roles_by_name((arguments.*argument).value_or(pg::TextArray{}), name);
        if (people.size() > principal::max_roles)
            throw invalid(name, "It names " + std::to_string(people.size()) + " roles; at most 64 are possible.",
                          "Name a group role.");
    });
}

// Replaces each list that is given. The lock on the template's row, which the caller holds, protects the lists.
void store_participants(std::int64_t template_id, const TemplateArguments& arguments) {
    each_participant_list([&](const char* capacity, const char* name, auto argument) {
        const auto& role_names = arguments.*argument;
        if (!role_names) return;
        pg::execute("DELETE FROM jit_access.template_person WHERE template_id = $1 AND part = $2",
                    {template_id, std::string(capacity)});
        for (const auto& person : principal::roles_by_name(*role_names, name))
            pg::execute(R"sql(
                INSERT INTO jit_access.template_person (template_id, part, role, role_name)
                VALUES ($1, $2, $3, $4)
            )sql",
                        {template_id, std::string(capacity), person.role, person.name});
    });
}

// Appends the values of the settings to `values`. Returns their placeholders, "$16, $17, ...".
std::string append_settings(const Template& tmpl, std::vector<pg::Argument>& values) {
    std::string placeholders;
    for (auto& value : setting_values(tmpl)) {
        values.push_back(std::move(value));
        placeholders += (placeholders.empty() ? "$" : ", $") + std::to_string(values.size());
    }
    return placeholders;
}

// ---- conditions of a change -----------------------------------------------------------------------------------------

bool has_live_grants(std::int64_t template_id) {
    return pg::query_row(R"sql(
               SELECT 1 FROM jit_access.request
               WHERE template_id = $1 AND (state IN ('active', 'suspended') OR cleanup = 'due')
               LIMIT 1
           )sql",
                         {template_id})
        .has_value();
}

void require_no_live_grants(const Template& tmpl, const char* action) {
    if (!has_live_grants(tmpl.id)) return;
    throw Failure(Code::live_grants, std::string("cannot ") + action + " template \"" + tmpl.name + "\"",
                  "Grants of it are live; they were approved for what it holds now.",
                  "Revoke them (jit_access.active_grants), or wait for their end.");
}

// Only the approvers of the template can review its break-glass grants, and a dropped template has no approvers.
void require_no_open_reviews(const Template& tmpl) {
    const auto open = pg::query_row(R"sql(
        SELECT r.id
        FROM jit_access.review v JOIN jit_access.request r ON r.id = v.request_id
        WHERE r.template_id = $1 AND v.reviewed_at IS NULL
        ORDER BY r.id
        LIMIT 1
    )sql",
                                    {tmpl.id});
    if (!open) return;
    const auto id = std::to_string(open->get<std::int64_t>(0));
    throw Failure(Code::unreviewed, "cannot drop template \"" + tmpl.name + "\"",
                  "Break-glass " + id + " has not been reviewed.", "Have an approver run jit_review(" + id + ", ...).");
}

void require_superuser_for_adopted_role(const principal::Person& me, const char* hint) {
    if (pg::is_superuser(me.role)) return;
    throw Failure(Code::not_permitted, "only a superuser can give privileges to a role that is adopted",
                  "Its members would have them at once, without a request.", hint);
}

// ---- reading and locking -----------------------------------------------------------------------------------------

// `lock_clause` is empty, FOR SHARE or FOR UPDATE.
std::optional<Template> try_find_by_name(const std::optional<std::string>& name, const char* lock_clause) {
    if (!name) throw invalid("template name", "It is NULL.", "Name a template of jit_access.template_catalog.");
    const std::string sql = select_template() + "WHERE name = $1 AND dropped_at IS NULL " + lock_clause;
    const auto row = pg::query_row(sql.c_str(), {*name});
    if (!row) return std::nullopt;
    return template_from_row(*row);
}

Template find_by_name(const std::optional<std::string>& name, const char* lock_clause) {
    if (auto tmpl = try_find_by_name(name, lock_clause)) return *std::move(tmpl);
    throw Failure(Code::unknown_template, "template \"" + pg::excerpt(*name) + "\" does not exist",
                  "Names are matched exactly.", "An administrator defines templates with jit_create_template.");
}

Failure unknown_or_not_visible(const std::string& name) {
    return {Code::unknown_template, "template \"" + pg::excerpt(name) + "\" does not exist, or you may not use it",
            "Names are matched exactly, and a template is shown to those whom it lists.",
            "jit_eligibility() lists the templates that you may request."};
}

// Locks the template FOR UPDATE. Requests and decisions lock it FOR SHARE until they commit, so when this returns, no
// open transaction relies on the old policy. A session that leaves such a transaction open would keep an administrator
// from changing the template, so it is terminated after 200 ms.
Template lock_for_change(const std::optional<std::string>& name) {
    (void)find_by_name(name, "");
    const std::string sql = select_template() + "WHERE name = $1 AND dropped_at IS NULL FOR UPDATE SKIP LOCKED";
    const auto end_holders = [] {
        if (const auto admin = pg::find_role(core::admin_role)) blocking_session::end_holders_of_templates(*admin);
    };
    const auto row =
        blocking_session::wait_or_end([&] { return pg::query_row(sql.c_str(), {*name}); }, end_holders, 200);
    return row ? template_from_row(*row) : find_by_name(name, "FOR UPDATE");
}

}  // namespace

Template read(const std::optional<std::string>& name) { return find_by_name(name, ""); }

Template read_visible(const principal::Person& person, const std::optional<std::string>& name) {
    auto tmpl = try_find_by_name(name, "");
    if (!tmpl || !principal::may_see_template(person, tmpl->id)) throw unknown_or_not_visible(*name);
    return *std::move(tmpl);
}

Template read(std::int64_t id) {
    const std::string sql = select_template() + "WHERE id = $1";
    return template_from_row(pg::query_row(sql.c_str(), {id}).value());
}

std::vector<Template> all() {
    const std::string sql = select_template() + "WHERE dropped_at IS NULL ORDER BY name";
    std::vector<Template> templates;
    for (const auto& row : pg::query(sql.c_str())) templates.push_back(template_from_row(row));
    return templates;
}

Template lock(const std::optional<std::string>& name) {
    Template tmpl = find_by_name(name, "FOR SHARE");
    service_identity::require_canary(tmpl.name);
    return tmpl;
}

Template lock_visible(const principal::Person& person, const std::optional<std::string>& name) {
    (void)read_visible(person, name);
    auto tmpl = try_find_by_name(name, "FOR SHARE");
    if (!tmpl) throw unknown_or_not_visible(*name);  // it was dropped in the meantime
    service_identity::require_canary(tmpl->name);
    return *std::move(tmpl);
}

Template lock(std::int64_t id) {
    const std::string sql = select_template() + "WHERE id = $1 FOR SHARE";
    Template tmpl = template_from_row(pg::query_row(sql.c_str(), {id}).value());
    service_identity::require_canary(tmpl.name);
    return tmpl;
}

// ---- create, alter, drop -----------------------------------------------------------------------------------------

namespace {

// Returns the new template without its role, after all checks that are possible before anything is created.
Template from_arguments(const std::string& name, const TemplateArguments& arguments, const principal::Person& me) {
    Template tmpl;
    tmpl.name = name;
    set_mode(tmpl, arguments.mode.value_or("inherit"));
    tmpl.allow_schema_change = arguments.allow_schema_change.value_or(false);
    tmpl.allow_code = arguments.allow_code.value_or(false);
    apply_settings(arguments, tmpl, me);
    check_participants(arguments);
    tmpl.privileges = arguments.privileges.value_or(pg::TextArray{});
    if (tmpl.privileges.empty() && !arguments.role)
        throw invalid("privileges", "A template without privileges gives nothing.",
                      "List its privileges, or adopt a role that holds them with the argument role.");
    if (arguments.role && !tmpl.privileges.empty())
        require_superuser_for_adopted_role(me, "Adopt the role as it is, or leave role out to have one created.");
    return tmpl;
}

// Inserts the rows of a new template and of its lock for caps. No other transaction sees them before the commit.
std::int64_t insert(const Template& tmpl, const TemplateArguments& arguments, const pg::TextArray& schemas,
                    const principal::Person& me) {
    std::vector<pg::Argument> values{tmpl.name,
                                     pg::nullable(arguments.description),
                                     tmpl.role,
                                     tmpl.role_name,
                                     !arguments.role.has_value(),
                                     arguments.mode.value_or("inherit"),
                                     tmpl.allow_schema_change,
                                     tmpl.allow_code,
                                     tmpl.privileges,
                                     schemas,
                                     std::string(core::to_string(tmpl.at_deadline)),
                                     pg::nullable(tmpl.object_owner),
                                     pg::nullable(tmpl.object_owner_name),
                                     me.name,
                                     tmpl.database_oids,
                                     tmpl.defined_by_superuser,
                                     superuser_only(tmpl)};
    const std::string placeholders = append_settings(tmpl, values);
    const std::string sql = R"sql(
        INSERT INTO jit_access.template
            (name, description, role, role_name, role_created, mode, allow_schema_change, allow_code, privileges,
             schemas, at_deadline, object_owner, object_owner_name, created_by, database_oids,
             defined_by_superuser, superuser_only, standing_members, created_at,
             )sql" + setting_names() +
                            R"sql()
        VALUES ($1, $2, $3, $4, $5, $6::jit_access.mode, $7, $8, $9, $10::oid[],
                $11::jit_access.at_deadline, $12, $13, $14, $15::oid[], $16, $17,
                ARRAY(SELECT m.member FROM pg_catalog.pg_auth_members m WHERE m.roleid = $3),
                pg_catalog.clock_timestamp(),
                )sql" + placeholders +
                            R"sql()
        RETURNING id
    )sql";
    const auto id = pg::query_row(sql.c_str(), values).value().get<std::int64_t>(0);
    pg::execute("INSERT INTO jit_access.template_cap_lock (template_id) VALUES ($1)", {id});
    return id;
}

// Stores a changed template as its next version. Requests for the previous version can no longer be approved. The row
// is locked by lock_for_change(). Returns the version.
std::int32_t update(const Template& tmpl, const TemplateArguments& arguments,
                    const std::optional<pg::TextArray>& schemas) {
    std::vector<pg::Argument> values{tmpl.id,
                                     pg::nullable(arguments.description),
                                     tmpl.privileges,
                                     pg::nullable(schemas),
                                     std::string(core::to_string(tmpl.at_deadline)),
                                     pg::nullable(tmpl.object_owner),
                                     pg::nullable(tmpl.object_owner_name),
                                     tmpl.database_oids,
                                     tmpl.defined_by_superuser,
                                     superuser_only(tmpl)};
    const std::string placeholders = append_settings(tmpl, values);
    const std::string sql = R"sql(
        UPDATE jit_access.template
        SET version = version + 1,
            description = coalesce($2, description),
            privileges = $3,
            schemas = coalesce($4::oid[], schemas),
            at_deadline = $5::jit_access.at_deadline,
            object_owner = $6,
            object_owner_name = $7,
            database_oids = $8::oid[],
            defined_by_superuser = $9,
            superuser_only = $10,
            ()sql" + setting_names() +
                            ") = ROW(" + placeholders +
                            R"sql()
        WHERE id = $1
        RETURNING version
    )sql";
    return pg::query_row(sql.c_str(), values).value().get<std::int32_t>(0);
}

// When a template is dropped, its requests that are not decided, or whose grant has not started, lapse. None of them
// can become active at the same time, because that needs a lock on the template's row, which lock_for_change() has
// locked.
void lapse_open_requests(const Template& tmpl, const std::string& by) {
    const auto open = pg::query(R"sql(
        SELECT id, state::text FROM jit_access.request
        WHERE template_id = $1 AND state IN ('pending', 'scheduled')
        ORDER BY id
        FOR UPDATE
    )sql",
                                {tmpl.id});
    for (const auto& row : open)
        request_state::advance(row.get<std::int64_t>(0), core::state_from(row.get<std::string>(1)).value(),
                               core::Event::lapse, by, "template dropped");
}

}  // namespace

std::string create(const TemplateArguments& arguments, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto& name = checked_name(arguments);
    if (pg::query_row("SELECT 1 FROM jit_access.template WHERE name = $1 AND dropped_at IS NULL", {name}))
        throw Failure(Code::duplicate_template, "template \"" + name + "\" exists already", {},
                      "Change it with jit_alter_template.");

    Template tmpl = from_arguments(name, arguments, me);
    tmpl.role_name = arguments.role.value_or(std::string(core::template_role_prefix) + name);
    tmpl.role = arguments.role ? adopt_role(*arguments.role) : create_role(tmpl.role_name);
    tmpl.defined_by_superuser = pg::is_superuser(me.role);
    const auto schemas = grant_privileges(tmpl.privileges, tmpl.role_name);
    // The closure of the items is known only now. If it is refused, the new role and its privileges are rolled back.
    check_definition(tmpl);
    principal::require_own_statement(me, origin, "template \"" + name + "\" is defined");

    store_participants(insert(tmpl, arguments, oid_texts(schemas), me), arguments);
    control_event::write(
        "template created", std::nullopt, me.name,
        {{"template", name}, {"role", tmpl.role_name}, {"privileges", core::join(tmpl.privileges, "; ")}});
    return tmpl.role_name;
}

std::int32_t alter(const TemplateArguments& arguments, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    Template tmpl = lock_for_change(arguments.name);
    // The approvers of live grants approved the object_owner as well. A superuser may change it nevertheless, because
    // the clean-up needs a new owner if the role has been dropped.
    if (arguments.object_owner && !pg::is_superuser(me.role))
        require_no_live_grants(tmpl, "change the object_owner of");
    apply_settings(arguments, tmpl, me);

    // By naming other requesters or asking for fewer approvals, an administrator who is not a superuser could give
    // anybody what only a superuser may give. After a change by such an administrator, the template is therefore
    // checked like one that the administrator has defined.
    const bool is_taken_over = tmpl.defined_by_superuser && !pg::is_superuser(me.role);
    if (arguments.privileges || is_taken_over) tmpl.defined_by_superuser = pg::is_superuser(me.role);

    std::optional<pg::TextArray> schemas;
    if (arguments.privileges) {
        if (!tmpl.role_created) require_superuser_for_adopted_role(me, "Ask a superuser.");
        require_no_live_grants(tmpl, "change the privileges of");
        revoke_privileges(tmpl);
        tmpl.privileges = *arguments.privileges;
        schemas = oid_texts(grant_privileges(tmpl.privileges, tmpl.role_name));
    }
    if (arguments.privileges || is_taken_over) check_definition(tmpl);
    check_participants(arguments);
    principal::require_own_statement(me, origin, "template \"" + tmpl.name + "\" is changed");

    store_participants(tmpl.id, arguments);
    const auto version = update(tmpl, arguments, schemas);
    control_event::write("template changed", std::nullopt, me.name,
                         {{"template", tmpl.name},
                          {"version", std::to_string(version)},
                          {"privileges", core::join(tmpl.privileges, "; ")}});
    return version;
}

void remove_participants(const Template& tmpl, const char* capacity, std::optional<RoleId> role,
                         const std::string& by) {
    if (!pg::query_row("SELECT 1 FROM jit_access.template WHERE id = $1 AND dropped_at IS NULL", {tmpl.id})) return;
    const Template current = lock_for_change(tmpl.name);
    const auto removed = pg::query(R"sql(
        DELETE FROM jit_access.template_person
        WHERE template_id = $1 AND part = $2 AND ($3 IS NULL OR role = $3)
        RETURNING role_name
    )sql",
                                   {tmpl.id, std::string(capacity), pg::nullable(role)});
    // A template that was dropped and created again under the same name is not the one that was reviewed.
    if (removed.empty() || current.id != tmpl.id) return;
    pg::TextArray names;
    for (const auto& row : removed) names.push_back(row.get<std::string>(0));
    std::sort(names.begin(), names.end());
    // The row is locked by lock_for_change().
    pg::execute("UPDATE jit_access.template SET version = version + 1 WHERE id = $1", {tmpl.id});
    control_event::write("template changed", std::nullopt, by,
                         {{"template", tmpl.name},
                          {"version", std::to_string(current.version + 1)},
                          {"withdrawn", core::join(names)},
                          {"part", capacity}});
}

void drop(const std::optional<std::string>& name) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const Template tmpl = lock_for_change(name);
    require_no_live_grants(tmpl, "drop");
    require_no_open_reviews(tmpl);
    lapse_open_requests(tmpl, me.name);
    // The row is locked by lock_for_change(). It stays, because requests refer to it.
    pg::execute("UPDATE jit_access.template SET dropped_at = pg_catalog.clock_timestamp() WHERE id = $1", {tmpl.id});
    // A role that was dropped or renamed by hand, and another role under the old name, are left alone.
    if (pg::role_name(tmpl.role) == tmpl.role_name) {
        revoke_privileges(tmpl);
        if (tmpl.role_created) pg::command("DROP ROLE " + pg::quote(tmpl.role_name));
    }
    control_event::write("template dropped", std::nullopt, me.name, {{"template", tmpl.name}});
}

}  // namespace jit::templates
