#include "jit_access/reclaim.hpp"

#include "jit_access/chores.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/event.hpp"
#include "jit_access/pg/worker.hpp"
#include "jit_access/provision.hpp"

namespace jit::reclaim {

using core::Code;
using core::Failure;

namespace {

void revoke_from_members(pg::RoleId role, const std::string& name) {
    for (const auto& row :
         pg::query("SELECT m.rolname::text FROM pg_catalog.pg_auth_members x JOIN pg_catalog.pg_authid m "
                   "ON m.oid = x.member WHERE x.roleid = $1 GROUP BY 1",
                   {role}))
        revoke_membership(name, row.get<std::string>(0));
}

// Something left in another database is reclaimed there, by a process of its own; the next attempt finds it gone.
void reclaim_elsewhere(pg::RoleId role, const std::string& name, const std::string& to) {
    const auto elsewhere = pg::query_row(
        "SELECT d.oid, d.datname::text FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database d ON d.oid = s.dbid "
        "WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1 AND d.datname <> "
        "pg_catalog.current_database() LIMIT 1",
        {role});
    if (!elsewhere) return;
    const bool started = pg::start_reclaimer("jit_reclaimer_main", elsewhere->get<pg::RoleId>(0).oid, role, to);
    throw Failure(Code::wrong_state,
                  "\"" + name + "\" has left something in database \"" + elsewhere->get<std::string>(1) + "\"",
                  started ? "It is being reclaimed; if this stays, the server log says why."
                          : "No background worker was free to reclaim it; see max_worker_processes.");
}

}  // namespace

// Plain data goes to the template's role. Code would run with that role's privileges after the grant, so it is never
// handed over: it stays with the temporary role, which has lost its privileges, until somebody has looked at it.
void hand_over(pg::RoleId role, const std::string& name, const std::string& to) {
    const auto code = pg::query_row(
        "SELECT pg_catalog.pg_describe_object(s.classid, s.objid, s.objsubid) FROM pg_catalog.pg_shdepend s "
        "LEFT JOIN pg_catalog.pg_class c ON s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = s.objid "
        "WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1 AND s.deptype = 'o' AND "
        "s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AND NOT ("
        "coalesce(c.relkind IN ('r', 'p', 'S', 'i', 'I', 't'), false) OR s.classid IN ("
        "'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_namespace'::pg_catalog.regclass, "
        "'pg_catalog.pg_statistic_ext'::pg_catalog.regclass)) LIMIT 1",
        {role});
    const auto expression = pg::query_row(
        "SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_index i ON "
        "i.indexrelid = "
        "c.oid LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid WHERE c.relowner = $1 AND "
        "(i.indexprs IS NOT "
        "NULL OR i.indpred IS NOT NULL OR p.partexprs IS NOT NULL OR EXISTS (SELECT FROM pg_catalog.pg_statistic_ext e "
        "WHERE "
        "e.stxrelid = c.oid AND e.stxexprs IS NOT NULL)) LIMIT 1",
        {role});
    if (expression)
        throw Failure(Code::wrong_state, "\"" + name + "\" owns " + expression->get<std::string>(0) +
                                             ", whose expressions would run with its new owner's privileges");
    if (code)
        throw Failure(Code::wrong_state,
                      "\"" + name + "\" owns " + code->get<std::string>(0) + ", which is code and is not handed over");
    const auto owns = pg::query_row(
        "SELECT 1 FROM pg_catalog.pg_shdepend WHERE refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND "
        "refobjid = $1 AND deptype = 'o' LIMIT 1",
        {role});
    if (owns) pg::command("REASSIGN OWNED BY " + pg::quote(name) + " TO " + pg::quote(to));
    pg::command("DROP OWNED BY " + pg::quote(name) + " RESTRICT");
}

void revoke_membership(const std::string& role, const std::string& member) {
    constexpr const char* grantors =
        "SELECT g.rolname::text FROM pg_catalog.pg_auth_members x JOIN pg_catalog.pg_authid r ON r.oid = x.roleid JOIN "
        "pg_catalog.pg_authid m ON m.oid = x.member LEFT JOIN pg_catalog.pg_authid g ON g.oid = x.grantor "
        "WHERE r.rolname = $1 AND m.rolname = $2";
    for (const auto& row : pg::query(grantors, {role, member})) {
        std::string sql = "REVOKE " + pg::quote(role) + " FROM " + pg::quote(member);
        // From 16 on a membership belongs to its grantor: naming him is the only way to be sure to meet it.
        if (pg::memberships_carry_options() && !row.is_null(0))
            sql += " GRANTED BY " + pg::quote(row.get<std::string>(0)) + " CASCADE";
        pg::command(sql);
    }
    if (!pg::query(grantors, {role, member}).empty())
        throw Failure(Code::wrong_state,
                      "the membership of \"" + member + "\" in \"" + role + "\" could not be revoked");
}

void remove_role(pg::RoleId role, const std::string& name) {
    revoke_from_members(role, name);
    pg::command("DROP ROLE " + pg::quote(name));
}

void take_memberships(std::int64_t id) {
    const auto row = pg::query_row(
        "SELECT r.grant_role, t.role_name FROM jit_access.request r JOIN jit_access.template t ON t.id = r.template_id "
        "WHERE r.id = $1 AND r.cleanup = 'due' FOR UPDATE OF r",
        {id});
    if (!row) return;
    const auto gate = provision::gate_role(id);
    if (const auto gate_id = pg::find_role(gate)) remove_role(*gate_id, gate);
    // By OID: whoever renamed the role has not saved it.
    const auto role = row->get<pg::RoleId>(0);
    const auto name = pg::role_name(role);
    if (!name) return;
    revoke_from_members(role, *name);
    // What it still owns runs with nothing from here on. The marker stays: it is how a session is recognised.
    for (const auto of : pg::memberships(role))
        if (const auto of_name = pg::role_name(of); of_name && *of_name != core::marker_role)
            revoke_membership(*of_name, *name);
}

void clean_up(std::int64_t id) {
    const auto row = pg::query_row(
        "SELECT r.grant_role, t.role_name FROM jit_access.request r JOIN jit_access.template t ON t.id = r.template_id "
        "WHERE r.id = $1 AND r.cleanup = 'due' FOR UPDATE OF r",
        {id});
    if (!row) return;
    const auto role = row->get<pg::RoleId>(0);
    if (const auto name = pg::role_name(role)) {
        hand_over(role, *name, row->get<std::string>(1));
        reclaim_elsewhere(role, *name, row->get<std::string>(1));
        pg::command("DROP ROLE " + pg::quote(*name));
    }
    pg::execute(
        "UPDATE jit_access.request SET cleanup = 'done', cleanup_error = NULL, cleanup_next = NULL WHERE id = $1",
        {id});
    event::note("cleaned up", id, chores::actor);
}

}  // namespace jit::reclaim
