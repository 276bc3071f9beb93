#include "jit_access/reclaim.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/event.hpp"
#include "jit_access/provision.hpp"

namespace jit::reclaim {

using core::Code;
using core::Failure;

namespace {

void revoke_from_members(pg::RoleId role, const std::string& name) {
    const auto members = pg::query(
        "SELECT m.rolname::text, g.rolname::text FROM pg_catalog.pg_auth_members x JOIN pg_catalog.pg_authid m ON "
        "m.oid = x.member "
        "LEFT JOIN pg_catalog.pg_authid g ON g.oid = x.grantor WHERE x.roleid = $1",
        {role});
    for (const auto& row : members) {
        std::string sql = "REVOKE " + pg::quote(name) + " FROM " + pg::quote(row.get<std::string>(0));
        // From 16 on a membership belongs to its grantor: naming him is the only way to be sure to meet it.
        if (pg::memberships_carry_options() && !row.is_null(1))
            sql += " GRANTED BY " + pg::quote(row.get<std::string>(1)) + " CASCADE";
        pg::command(sql);
    }
    if (pg::query_row("SELECT 1 FROM pg_catalog.pg_auth_members WHERE roleid = $1 LIMIT 1", {role}))
        throw Failure(Code::wrong_state, "a membership in \"" + name + "\" could not be revoked");
}

// Plain data goes to the template's role. Code would run with that role's privileges after the grant, so it is never
// handed over: it stays, with the role, until somebody has looked at it.
void hand_over(pg::RoleId role, const std::string& name, const std::string& to) {
    const auto elsewhere = pg::query_row(
        "SELECT d.datname::text FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database d ON d.oid = s.dbid "
        "WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.refobjid = $1 AND d.datname <> "
        "pg_catalog.current_database() LIMIT 1",
        {role});
    if (elsewhere)
        throw Failure(Code::wrong_state,
                      "\"" + name + "\" has left something in database \"" + elsewhere->get<std::string>(0) + "\"");
    const auto code = pg::query_row(
        "SELECT pg_catalog.pg_describe_object(s.classid, s.objid, s.objsubid) FROM pg_catalog.pg_shdepend s "
        "LEFT JOIN pg_catalog.pg_class c ON s.classid = 'pg_catalog.pg_class'::regclass AND c.oid = s.objid "
        "WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.refobjid = $1 AND s.deptype = 'o' AND NOT ("
        "c.relkind IN ('r', 'p', 'S', 'i', 'I', 't') OR s.classid IN ('pg_catalog.pg_type'::regclass, "
        "'pg_catalog.pg_namespace'::regclass, 'pg_catalog.pg_statistic_ext'::regclass)) LIMIT 1",
        {role});
    if (code)
        throw Failure(Code::wrong_state,
                      "\"" + name + "\" owns " + code->get<std::string>(0) + ", which is code and is not handed over");
    const auto owned = pg::query(
        "SELECT pg_catalog.pg_describe_object(classid, objid, objsubid) FROM pg_catalog.pg_shdepend WHERE "
        "refclassid = 'pg_catalog.pg_authid'::regclass AND refobjid = $1 AND deptype = 'o'",
        {role});
    if (!owned.empty()) pg::command("REASSIGN OWNED BY " + pg::quote(name) + " TO " + pg::quote(to));
    pg::command("DROP OWNED BY " + pg::quote(name) + " RESTRICT");
}

}  // namespace

void clean_up(std::int64_t id) {
    const auto row = pg::query_row(
        "SELECT r.grant_role, t.role_name FROM jit_access.request r JOIN jit_access.template t ON t.id = r.template_id "
        "WHERE r.id = $1 AND r.cleanup = 'due' FOR UPDATE OF r",
        {id});
    if (!row) return;
    const auto gate = provision::gate_role(id);
    if (const auto gate_id = pg::find_role(gate)) {
        revoke_from_members(*gate_id, gate);
        pg::command("DROP ROLE " + pg::quote(gate));
    }
    // By OID: whoever renamed the role has not saved it.
    const auto role = row->get<pg::RoleId>(0);
    if (const auto name = pg::role_name(role)) {
        revoke_from_members(role, *name);
        hand_over(role, *name, row->get<std::string>(1));
        pg::command("DROP ROLE " + pg::quote(*name));
    }
    pg::execute(
        "UPDATE jit_access.request SET cleanup = 'done', cleanup_error = NULL, cleanup_next = NULL WHERE id = $1",
        {id});
    event::note("cleaned up", id, "jit_access");
}

}  // namespace jit::reclaim
