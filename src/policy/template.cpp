#include "jit_access/policy/template.hpp"
#include "jit_access/policy/template_closure.hpp"
#include "jit_access/policy/template_privileges.hpp"
#include "jit_access/policy/template_settings.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/identity/service_identity.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/policy/contention.hpp"
#include "jit_access/shared/blocking_session.hpp"
#include "jit_access/shared/control_event.hpp"

namespace jit::templates {

using core::Code;
using core::Failure;
using core::invalid;
using pg::RoleId;

namespace {

const std::string& name_of(const TemplateArguments& draft) {
    if (!draft.name) throw invalid("template name", "It is NULL.", "Give the template a name.");
    if (const auto fault = core::fault_in_template_name(*draft.name)) throw invalid("template name", *fault);
    return *draft.name;
}

void set_mode(Template& of, const std::string& mode) {
    if (mode != "inherit" && mode != "set_role" && mode != "login")
        throw invalid("mode", "\"" + pg::excerpt(mode) + "\" is not a mode.",
                      "The modes are inherit, set_role and login.");
    of.set_role = mode == "set_role";
    of.login = mode == "login";
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

void check_parts(const TemplateArguments& draft) {
    each_participant_list([&](const char*, const char* name, auto argument) {
        const auto people = principal::roles_by_name((draft.*argument).value_or(pg::TextArray{}), name);
        if (people.size() > principal::max_roles)
            throw invalid(name, "It names " + std::to_string(people.size()) + " roles; at most 64 are possible.",
                          "Name a group role.");
    });
}

void set_parts(std::int64_t template_id, const TemplateArguments& draft) {
    each_participant_list([&](const char* part, const char* name, auto argument) {
        const auto& names = draft.*argument;
        if (!names) return;
        pg::execute("DELETE FROM jit_access.template_person WHERE template_id = $1 AND part = $2",
                    {template_id, std::string(part)});
        for (const auto& person : principal::roles_by_name(*names, name))
            pg::execute(
                "INSERT INTO jit_access.template_person (template_id, part, role, role_name) VALUES ($1, $2, $3, $4)",
                {template_id, std::string(part), person.role, person.name});
    });
}

// Adds the settings to the arguments; their placeholders come back.
std::string with_settings(const Template& of, std::vector<pg::Argument>& arguments) {
    std::string placeholders;
    for (auto& value : setting_values(of)) {
        arguments.push_back(std::move(value));
        placeholders += (placeholders.empty() ? "$" : ", $") + std::to_string(arguments.size());
    }
    return placeholders;
}

bool has_live_grants(std::int64_t template_id) {
    return pg::query_row(
               "SELECT 1 FROM jit_access.request WHERE template_id = $1 AND (state IN ('active', 'suspended') OR "
               "cleanup = 'due') LIMIT 1",
               {template_id})
        .has_value();
}

// Its approvers are who can review; nobody names others once it is gone.
void refuse_unreviewed(const Template& of) {
    const auto open = pg::query_row(
        "SELECT r.id FROM jit_access.review v JOIN jit_access.request r ON r.id = v.request_id WHERE r.template_id = "
        "$1 "
        "AND v.reviewed_at IS NULL ORDER BY r.id LIMIT 1",
        {of.id});
    if (!open) return;
    const auto id = std::to_string(open->get<std::int64_t>(0));
    throw Failure(Code::unreviewed, "cannot drop template \"" + of.name + "\"",
                  "Break-glass " + id + " has not been reviewed.", "Have an approver run jit_review(" + id + ", ...).");
}

void refuse_live(const Template& of, const char* what) {
    if (!has_live_grants(of.id)) return;
    throw Failure(Code::live_grants, std::string("cannot ") + what + " template \"" + of.name + "\"",
                  "Grants of it are live; they were approved for what it holds now.",
                  "Revoke them (jit_access.active_grants), or wait for their end.");
}

Template find_and_lock(const std::optional<std::string>& name, const char* lock) {
    if (!name) throw invalid("template name", "It is NULL.", "Name a template of jit_access.template_catalog.");
    const std::string sql = select_template() + "WHERE name = $1 AND dropped_at IS NULL " + lock;
    const auto row = pg::query_row(sql.c_str(), {*name});
    if (!row)
        throw Failure(Code::unknown_template, "template \"" + pg::excerpt(*name) + "\" does not exist",
                      "Names are matched exactly.", "An administrator defines templates with jit_create_template.");
    return from_row(*row);
}

// Against requests and decisions that are being made: they hold the row until they commit. Who leaves that open does
// not keep an administrator from changing the template; he is ended.
Template find_for_change(const std::optional<std::string>& name) {
    (void)find_and_lock(name, "");
    const std::string free = select_template() + "WHERE name = $1 AND dropped_at IS NULL FOR UPDATE SKIP LOCKED";
    const auto end_holders = [] {
        if (const auto admin = pg::find_role(core::admin_role)) blocking_session::end_holders_of_templates(*admin);
    };
    const auto row =
        blocking_session::wait_or_end([&] { return pg::query_row(free.c_str(), {*name}); }, end_holders, 200);
    return row ? from_row(*row) : find_and_lock(name, "FOR UPDATE");
}

}  // namespace

Template lock(const std::optional<std::string>& name) {
    Template found = find_and_lock(name, "FOR SHARE");
    service_identity::require_canary(found.name);
    return found;
}

Template read(const std::optional<std::string>& name) { return find_and_lock(name, ""); }

Template read(std::int64_t id) {
    const std::string sql = select_template() + "WHERE id = $1";
    return from_row(pg::query_row(sql.c_str(), {id}).value());
}

std::vector<Template> all() {
    const std::string sql = select_template() + "WHERE dropped_at IS NULL ORDER BY name";
    std::vector<Template> found;
    for (const auto& row : pg::query(sql.c_str())) found.push_back(from_row(row));
    return found;
}

Template lock(std::int64_t id) {
    const std::string sql = select_template() + "WHERE id = $1 FOR SHARE";
    Template found = from_row(pg::query_row(sql.c_str(), {id}).value());
    service_identity::require_canary(found.name);
    return found;
}

std::string create(const TemplateArguments& draft, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const auto& name = name_of(draft);
    if (pg::query_row("SELECT 1 FROM jit_access.template WHERE name = $1 AND dropped_at IS NULL", {name}))
        throw Failure(Code::duplicate_template, "template \"" + name + "\" exists already", {},
                      "Change it with jit_alter_template.");

    Template made;
    made.name = name;
    set_mode(made, draft.mode.value_or("inherit"));
    made.allow_schema_change = draft.allow_schema_change.value_or(false);
    made.allow_code = draft.allow_code.value_or(false);
    apply_settings(draft, made, me);
    check_parts(draft);
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
    const auto schemas = grant_privileges(made.privileges, made.role_name);
    check_closure(made);
    principal::require_own_statement(me, origin, "template \"" + name + "\" is defined");

    std::vector<pg::Argument> values{name,
                                     pg::nullable(draft.description),
                                     made.role,
                                     made.role_name,
                                     !draft.role.has_value(),
                                     draft.mode.value_or("inherit"),
                                     made.allow_schema_change,
                                     made.allow_code,
                                     made.privileges,
                                     oid_texts(schemas),
                                     std::string(core::to_string(made.at_deadline)),
                                     pg::nullable(made.object_owner),
                                     pg::nullable(made.object_owner_name),
                                     me.name,
                                     made.database_oids};
    const std::string sql =
        "INSERT INTO jit_access.template (name, description, role, role_name, role_created, mode, allow_schema_change, "
        "allow_code, privileges, schemas, at_deadline, object_owner, object_owner_name, created_by, database_oids, "
        "created_at, " +
        setting_names() +
        ") VALUES ($1, $2, $3, $4, $5, $6::jit_access.mode, $7, $8, $9, $10::oid[], $11::jit_access.at_deadline, $12, "
        "$13, $14, $15::oid[], pg_catalog.clock_timestamp(), " +
        with_settings(made, values) + ") RETURNING id";
    const auto row = pg::query_row(sql.c_str(), values);
    const auto id = row.value().get<std::int64_t>(0);
    pg::execute("INSERT INTO jit_access.template_cap_lock (template_id) VALUES ($1)", {id});
    set_parts(id, draft);
    control_event::write(
        "template created", std::nullopt, me.name,
        {{"template", name}, {"role", made.role_name}, {"privileges", core::join(made.privileges, "; ")}});
    return made.role_name;
}

std::int32_t alter(const TemplateArguments& draft, const principal::Origin& origin) {
    const auto me = principal::caller();
    principal::require_admin(me);
    Template changed = find_for_change(draft.name);
    // Who gets what is made under grants that live was approved as well; but somebody has to mend an heir that is lost.
    if (draft.object_owner && !pg::is_superuser(me.role)) refuse_live(changed, "change the object_owner of");
    apply_settings(draft, changed, me);

    std::optional<pg::TextArray> schemas;
    if (draft.privileges) {
        if (!changed.role_created && !pg::is_superuser(me.role))
            throw Failure(Code::not_permitted, "only a superuser can give privileges to a role that is adopted",
                          "Its members would have them at once, without a request.", "Ask a superuser.");
        refuse_live(changed, "change the privileges of");
        revoke_privileges(changed);
        changed.privileges = *draft.privileges;
        schemas = oid_texts(grant_privileges(changed.privileges, changed.role_name));
        check_closure(changed);
    }
    check_parts(draft);
    principal::require_own_statement(me, origin, "template \"" + changed.name + "\" is changed");
    set_parts(changed.id, draft);
    std::vector<pg::Argument> values{changed.id,
                                     pg::nullable(draft.description),
                                     changed.privileges,
                                     pg::nullable(schemas),
                                     std::string(core::to_string(changed.at_deadline)),
                                     pg::nullable(changed.object_owner),
                                     pg::nullable(changed.object_owner_name),
                                     changed.database_oids};
    const std::string sql =
        "UPDATE jit_access.template SET version = version + 1, description = coalesce($2, description), privileges = "
        "$3, schemas = coalesce($4::oid[], schemas), at_deadline = $5::jit_access.at_deadline, object_owner = $6, "
        "object_owner_name = $7, database_oids = $8::oid[], (" +
        setting_names() + ") = ROW(" + with_settings(changed, values) + ") WHERE id = $1 RETURNING version";
    const auto row = pg::query_row(sql.c_str(), values);
    const auto version = row.value().get<std::int32_t>(0);
    control_event::write("template changed", std::nullopt, me.name,
                         {{"template", changed.name},
                          {"version", std::to_string(version)},
                          {"privileges", core::join(changed.privileges, "; ")}});
    return version;
}

void remove_participants(const Template& of, const char* part, std::optional<RoleId> role, const std::string& by) {
    if (!pg::query_row("SELECT 1 FROM jit_access.template WHERE id = $1 AND dropped_at IS NULL", {of.id})) return;
    const Template changed = find_for_change(of.name);
    const auto gone = pg::query(
        "DELETE FROM jit_access.template_person WHERE template_id = $1 AND part = $2 AND ($3 IS NULL OR role = $3) "
        "RETURNING role_name",
        {of.id, std::string(part), pg::nullable(role)});
    if (gone.empty() || changed.id != of.id) return;
    pg::TextArray names;
    for (const auto& row : gone) names.push_back(row.get<std::string>(0));
    std::sort(names.begin(), names.end());
    pg::execute("UPDATE jit_access.template SET version = version + 1 WHERE id = $1", {of.id});
    control_event::write("template changed", std::nullopt, by,
                         {{"template", of.name},
                          {"version", std::to_string(changed.version + 1)},
                          {"withdrawn", core::join(names)},
                          {"part", part}});
}

void drop(const std::optional<std::string>& name) {
    const auto me = principal::caller();
    principal::require_admin(me);
    const Template gone = find_for_change(name);
    refuse_live(gone, "drop");
    refuse_unreviewed(gone);
    const auto open = pg::query(
        "UPDATE jit_access.request SET state = 'lapsed', closed_at = pg_catalog.clock_timestamp(), closed_by = $2, "
        "close_reason = 'template dropped' WHERE template_id = $1 AND state IN ('pending', 'scheduled') RETURNING id",
        {gone.id, me.name});
    for (const auto& row : open)
        control_event::write("lapsed", row.get<std::int64_t>(0), me.name, {{"reason", "template dropped"}});
    pg::execute("UPDATE jit_access.template SET dropped_at = pg_catalog.clock_timestamp() WHERE id = $1", {gone.id});
    if (pg::role_name(gone.role) == gone.role_name) {
        revoke_privileges(gone);
        if (gone.role_created) pg::command("DROP ROLE " + pg::quote(gone.role_name));
    }
    control_event::write("template dropped", std::nullopt, me.name, {{"template", gone.name}});
}

}  // namespace jit::templates
