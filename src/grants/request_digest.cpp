#include "jit_access/grants/request_digest.hpp"

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/digest.hpp"

namespace jit::request_digest {

using request::Request;
using templates::Template;

namespace {

// The privileges of the roles that the template's role reaches: their entries in access lists in this database, and the
// objects in other databases whose access lists name them (those lists cannot be read from here). The template's own
// role is left out if jit_create_template made it: it has only the privileges of the items
// (statements/guard_managed.hpp refuses other grants to it), and these may be privileges on many tables. An adopted
// role is included.
std::string privileges_behind(const Template& tmpl) {
    pg::TextArray roles;
    for (const auto role : pg::closure(tmpl.role))
        if (!tmpl.role_created || role != tmpl.role) roles.push_back(std::to_string(role.oid));
    if (roles.empty()) return {};
    return pg::query_row(R"sql(
               WITH d AS MATERIALIZED (
                   SELECT DISTINCT refobjid AS role, dbid, classid, objid, deptype
                   FROM pg_catalog.pg_shdepend
                   WHERE refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
                     AND refobjid = ANY ($1::pg_catalog.oid[])),
               acl (role, what) AS (
                   SELECT role, dbid || ' ' || classid || ' ' || objid || ' ' || deptype::text
                   FROM d
                   UNION ALL
                   SELECT d.role, d.objid || ' ' || x.privilege_type
                   FROM d
                   JOIN pg_catalog.pg_class o
                       ON o.oid = d.objid AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass,
                        pg_catalog.aclexplode(o.relacl) x
                   WHERE x.grantee = d.role
                   UNION ALL
                   SELECT d.role, d.objid || '.' || o.attnum || ' ' || x.privilege_type
                   FROM d
                   JOIN pg_catalog.pg_attribute o
                       ON o.attrelid = d.objid AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                      AND o.attacl IS NOT NULL,
                        pg_catalog.aclexplode(o.attacl) x
                   WHERE x.grantee = d.role
                   UNION ALL
                   SELECT d.role, d.objid || ' ' || x.privilege_type
                   FROM d
                   JOIN pg_catalog.pg_namespace o
                       ON o.oid = d.objid AND d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass,
                        pg_catalog.aclexplode(o.nspacl) x
                   WHERE x.grantee = d.role
                   UNION ALL
                   SELECT x.member, 'member of ' || x.roleid
                   FROM pg_catalog.pg_auth_members x
                   WHERE x.member = ANY ($1::pg_catalog.oid[]))
               SELECT coalesce(string_agg(role || ' ' || what, ',' ORDER BY role, what COLLATE "C"), '')
                      || ' of ' || pg_catalog.array_to_string($1, ' ')
               FROM acl
           )sql",
                         {roles})
        .value()
        .get<std::string>(0);
}

// Canonical bytes: each value is preceded by its length, so that no two different sequences of values have the same
// text.
class Canonical {
public:
    Canonical& add(const std::string& text) {
        text_ += std::to_string(text.size()) + ":" + text;
        return *this;
    }
    Canonical& add(std::int64_t number) { return add(std::to_string(number)); }
    Canonical& add(const std::optional<std::string>& text) { return text ? add("+" + *text) : add(std::string("-")); }
    Canonical& add(const pg::TextArray& items) {
        add(static_cast<std::int64_t>(items.size()));
        for (const auto& item : items) add(item);
        return *this;
    }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    std::string text_;
};

}  // namespace

// A change of the fields or of their order needs a new `format`, because stored approvals hold digests in the old
// format.
std::string compute(const Request& request, const Template& tmpl) {
    const std::string format = "jit_access request 1";
    const std::string text = Canonical()
                                 .add(format)
                                 .add(request.id)
                                 .add(request.requester_name)
                                 .add(std::int64_t{request.requester.oid})
                                 .add(tmpl.name)
                                 .add(tmpl.id)
                                 .add(std::int64_t{tmpl.version})
                                 .add(tmpl.privileges)
                                 .add(privileges_behind(tmpl))
                                 .add(request.scope.value_or(pg::TextArray{}))
                                 .add(request.requested_duration)
                                 .add(request.requested_start ? request.requested_start->us : 0)
                                 .add(request.reason)
                                 .add(request.ticket)
                                 .text();
    pg::ServerHasher hasher;
    return core::to_hex(hasher.hash({std::as_bytes(std::span(text))}));
}

std::optional<std::string> compute_current(std::int64_t id) {
    const auto request = request::read(id);
    const principal::Person me{pg::session_user(), {}};
    if (!request || (request->requester != me.role && !principal::may_decide(me, request->template_id) &&
                     !principal::may_audit(me.role)))
        return std::nullopt;
    return compute(*request, templates::read(request->template_id));
}

}  // namespace jit::request_digest
