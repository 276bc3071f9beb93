#include "jit_access/policy/template_privileges.hpp"

#include <algorithm>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/grammar.hpp"
#include "jit_access/pg/xact.hpp"

namespace jit::templates {

using core::Code;
using core::Failure;
using pg::RoleId;

namespace {

// For a role that jit_create_template created: it holds the privileges of the items and no others.
void revoke_everything(const Template& tmpl) {
    const auto owned = pg::query_row(R"sql(
        SELECT 1 FROM pg_catalog.pg_shdepend
        WHERE refclassid = 'pg_catalog.pg_authid'::regclass AND refobjid = $1 AND deptype = 'o'
        LIMIT 1
    )sql",
                                     {tmpl.role});
    // DROP OWNED drops objects as well as privileges.
    if (owned)
        throw Failure(Code::privilege_refused, "role \"" + tmpl.role_name + "\" owns objects",
                      "Taking its privileges away would drop them.", "Give the objects to another role first.");
    pg::change_access_lists("DROP OWNED BY " + pg::quote(tmpl.role_name) + " RESTRICT");
    for (const RoleId role : pg::memberships(tmpl.role))
        if (const auto name = pg::role_name(role))
            pg::command("REVOKE " + pg::quote(*name) + " FROM " + pg::quote(tmpl.role_name));
}

// For an adopted role: it had privileges of its own before, so only the privileges of the items are revoked. If an
// object that an item names has been dropped, the item is skipped with a notice.
void revoke_items(const Template& tmpl) {
    for (const auto& item : tmpl.privileges) {
        const auto fault = pg::in_subtransaction(
            [&] { pg::change_access_lists("REVOKE " + item + "\n FROM " + pg::quote(tmpl.role_name)); });
        if (fault) pg::notice("\"" + item + "\" was not taken from role \"" + tmpl.role_name + "\": " + *fault);
    }
}

// An item that names columns applies only to the relations that have them all.
bool has_columns(const std::string& relation, const pg::TextArray& columns) {
    return pg::query_row(R"sql(
               SELECT bool_and(EXISTS (SELECT FROM pg_catalog.pg_attribute a
                                       WHERE a.attrelid = $1::pg_catalog.regclass
                                         AND a.attname = c AND NOT a.attisdropped)) IS NOT FALSE
               FROM unnest($2) c
           )sql",
                         {relation, columns})
        .value()
        .get<bool>(0);
}

// Whether the relation is of a kind that every template may give (sql/06_reach.sql). Only views and the relations of
// extensions can be of another kind, so the list is seldom consulted.
bool may_be_given(const std::string& relation) {
    return pg::query_row(R"sql(
               SELECT CASE WHEN c.relkind IN ('v', 'm')
                                OR EXISTS (SELECT FROM pg_catalog.pg_depend d
                                           WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                                             AND d.objid = c.oid AND d.deptype = 'e')
                           THEN EXISTS (SELECT FROM jit_access.reachable_object o
                                        WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                                          AND o.objid = c.oid AND o.kind IN ('table', 'sequence'))
                           ELSE true END
               FROM pg_catalog.pg_class c
               WHERE c.oid = $1::pg_catalog.regclass
           )sql",
                         {relation})
        .value()
        .get<bool>(0);
}

void grant_item_on_relation(const std::string& relation, std::uint32_t schema, const std::string& item,
                            const std::string& role) {
    const auto schemas = pg::parse_privilege(item, role).schemas;
    if (std::find(schemas.begin(), schemas.end(), schema) == schemas.end()) return;
    const auto grant = pg::grant_on_table(item, role, relation);
    // A privilege that the template may not give would keep every further grant of the template from being activated.
    if (!may_be_given(relation)) return;
    if (has_columns(relation, grant.columns)) pg::change_access_lists(grant.sql);
}

}  // namespace

std::vector<std::uint32_t> grant_privileges(const pg::TextArray& items, const std::string& role) {
    std::vector<std::uint32_t> schemas;
    for (const auto& text : items) {
        // Approvers read the items, so the text must not mislead them.
        if (const auto fault = core::fault_in_characters(text))
            throw core::invalid("privileges", *fault, "Write each item as one line of plain text.");
        const auto item = pg::parse_privilege(text, role);
        try {
            pg::change_access_lists(item.grant);
        } catch (const pg::ServerError& error) {
            throw Failure(
                Code::privilege_refused, "cannot give the privilege \"" + pg::excerpt(text) + "\" to a template",
                std::string("The server says: ") + error.what() + ".", "Correct the item or create what it names.");
        }
        schemas.insert(schemas.end(), item.schemas.begin(), item.schemas.end());
    }
    return schemas;
}

void revoke_privileges(const Template& tmpl) {
    if (tmpl.role_created)
        revoke_everything(tmpl);
    else
        revoke_items(tmpl);
}

void grant_on_new_relations(const pg::TextArray& relations, const std::vector<std::uint32_t>& schemas) {
    for (std::size_t i = 0; i < relations.size(); ++i)
        for (const auto& row : pg::query(R"sql(
                 SELECT privileges, role_name FROM jit_access.template
                 WHERE dropped_at IS NULL AND $1 = ANY (schemas)
             )sql",
                                         {RoleId{schemas.at(i)}}))
            for (const auto& item : row.get<pg::TextArray>(0)) {
                // The command is another user's, so it must not fail because an item of a template has become invalid.
                const auto fault = pg::in_subtransaction(
                    [&] { grant_item_on_relation(relations[i], schemas[i], item, row.get<std::string>(1)); });
                if (fault)
                    pg::log_line("\"" + item + "\" of a template was not given on " + relations[i] + ": " + *fault);
            }
}

}  // namespace jit::templates
