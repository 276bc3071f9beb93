\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Of the roles that a grant reaches, only jit_grant_<id> may be taken: not the role of the template, new or adopted, a role
-- below it, the gate, or the marker. However the role is chosen: SET ROLE, set_config(), a SET clause, a setting of the
-- login or a start-up option. What was made as such a role would stay its own: a SECURITY DEFINER function that reads the
-- template's data for ever, or an object for which every later activation of the template fails.
CREATE ROLE gina LOGIN;
CREATE ROLE below;
CREATE ROLE dbo IN ROLE below;
CREATE ROLE standing ROLE alice;
CREATE SCHEMA anybodys;
GRANT USAGE, CREATE ON SCHEMA anybodys TO PUBLIC;
SELECT jit_create_template('looks', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}') AS looks \gset
SELECT jit_create_template('fixes', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{dave}', approvers => '{bob}', mode => 'set_role') AS fixes \gset
SELECT jit_create_template('adopts', role => 'dbo', requesters => '{carol}', approvers => '{bob}') AS adopts \gset
SELECT jit_create_template('codes', '{"USAGE, CREATE ON SCHEMA app", SELECT ON app.customers}', requesters => '{gina}', approvers => '{bob}', mode => 'set_role',
                           allow_schema_change => true, allow_code => true) AS codes \gset
\connect - alice
SELECT jit_request('looks', '1h') AS alices \gset
\connect - dave
SELECT jit_request('fixes', '1h') AS daves \gset
\connect - carol
SELECT jit_request('adopts', '1h') AS carols \gset
\connect - gina
SELECT jit_request('codes', '1h') AS ginas \gset
\connect - bob
SELECT jit_approve(id) AS state FROM unnest(ARRAY[:alices, :daves, :carols, :ginas]) AS id \g /dev/null
\connect - :owner
CREATE TABLE tap.roles (n integer GENERATED ALWAYS AS IDENTITY, login text, what text, role text);
GRANT SELECT ON tap.roles TO PUBLIC;
INSERT INTO tap.roles (login, what, role) VALUES
    ('alice', 'the role of a template', 'jit_template_looks'), ('alice', 'the marker', 'jit_marker'), ('dave', 'the role of a template of mode set_role', 'jit_template_fixes'),
    ('dave', 'the gate', format('jit_gate_%s', :daves)), ('carol', 'an adopted role', 'dbo'), ('carol', 'a role below it', 'below'),
    ('gina', 'the role of a template with allow_code', 'jit_template_codes');
CREATE TABLE tap.ways (n integer GENERATED ALWAYS AS IDENTITY, statement text);
GRANT SELECT ON tap.ways TO PUBLIC;
INSERT INTO tap.ways (statement) VALUES
    ('SET LOCAL ROLE %1$I; SELECT 1'), ('SET LOCAL ROLE %1$I; CREATE TYPE anybodys.t AS (a integer)'), ('SET LOCAL ROLE %1$I; CREATE TABLE anybodys.t AS SELECT 1 AS id'),
    ('SET LOCAL ROLE %1$I; CREATE FUNCTION anybodys.f() RETURNS SETOF app.customers LANGUAGE sql SECURITY DEFINER AS ''TABLE app.customers'''),
    ('SET LOCAL ROLE %1$I; SELECT lo_create(0)'), ('SELECT set_config(''role'', %1$L, true); SELECT lo_create(0)'),
    ('SELECT set_config(''role'', %1$L, true), lo_create(0)'), ('DO $$BEGIN PERFORM set_config(''role'', %1$L, true); PERFORM lo_create(0); END$$'),
    ('SELECT tap.as_%1$s(''SELECT lo_create(0)'')');
SELECT format('CREATE FUNCTION tap.as_%1$s(text) RETURNS void LANGUAGE plpgsql SET role = %1$L AS ''BEGIN EXECUTE $1; END''', role) FROM tap.roles \gexec
-- From 16 on the server itself gives only the role of the grant.
CREATE FUNCTION tap.expected(role text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN current_setting('server_version_num')::int >= 160000 THEN '42501'
                ELSE format('JA016 role "%s" cannot be used by a session that has it by a grant: What is made as this role would belong to it and outlive the grant.', role) END
$$;
GRANT EXECUTE ON FUNCTION tap.expected TO PUBLIC;
-- Without allow_code, CREATE FUNCTION is refused before the role is looked at.
CREATE FUNCTION tap.try_all() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT tap.refused(format(statement, role), tap.expected(role), what || ': ' || format(statement, 'r'))
    FROM tap.roles r, tap.ways w WHERE login = current_user AND (statement !~ 'FUNCTION' OR login = 'gina') ORDER BY r.n, w.n
$$;
GRANT EXECUTE ON FUNCTION tap.try_all TO PUBLIC;
\connect - alice
CALL tap.start();
SELECT tap.try_all();
SELECT is(tap.error('SET LOCAL ROLE standing; CREATE TABLE anybodys.t (id integer)'), 'no error', 'a role that needs no grant is taken as before');
SELECT is(tap.error(format('SET LOCAL ROLE jit_grant_%s; SELECT FROM app.orders', :alices)), 'no error', 'and so is the role of the grant');
\connect - dave
CALL tap.start();
SELECT tap.try_all();
SELECT is(tap.error(format('SET LOCAL ROLE jit_grant_%s; SELECT FROM app.orders', :daves)), 'no error', 'the role of the grant');
\connect - carol
CALL tap.start();
SELECT tap.try_all();
\connect - gina
CALL tap.start();
SELECT tap.try_all();

-- By a setting of the login: every statement is refused but those that leave the role.
\connect - :owner
ALTER ROLE gina SET role = 'jit_template_codes';
\connect - gina
CREATE TABLE app.t (id integer);
\set made :SQLSTATE
RESET ROLE;
SELECT 1 AS one \gset
\set reset :SQLSTATE
SET ROLE NONE;
CALL tap.start();
SELECT is(concat_ws(' ', :'made', :'reset', current_user), CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'JA016 JA016 gina' ELSE '42501 00000 gina' END,
          'by a setting of the login, to which RESET ROLE returns');
\connect - :owner
ALTER ROLE gina RESET role;
-- By a start-up option. From 16 on the server refuses the connection.
SELECT current_setting('server_version_num')::int < 160000 AS may_connect \gset
\if :may_connect
\connect -reuse-previous=on "user=gina options=-crole=jit_template_codes"
CREATE TABLE app.t (id integer);
\set made :SQLSTATE
SET ROLE NONE;
SELECT :'made' || ' ' || current_user AS refused \gset
\connect -reuse-previous=on "user=gina options=''"
\else
\echo ERROR:  JA016
\set refused 'JA016 gina'
\endif
CALL tap.start();
SELECT is(:'refused'::text, 'JA016 gina', 'by a start-up option');

-- Nothing has spoilt a template.
\connect - :owner
CALL tap.start();
SELECT is_empty($$SELECT d.classid::regclass, d.objid FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o'
                  AND (r.rolname ~ '^jit_(template|gate|marker)' OR r.rolname IN ('dbo', 'below'))$$, 'none of these roles owns anything');
SELECT jit_revoke(id) AS state FROM unnest(ARRAY[:alices, :daves, :carols, :ginas]) AS id \g /dev/null
CALL tap.wait_for_cleanup();
\connect - dave
SELECT jit_request('fixes', '1h') AS daves \gset
\connect - bob
SELECT jit_approve(:daves) AS state \gset
CALL tap.start();
SELECT is(:'state'::text, 'active', 'and the next grant becomes active');
\connect - :owner
SELECT format('DROP FUNCTION %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'tap'::regnamespace AND (proname LIKE 'as\_%' OR proname IN ('expected', 'try_all')) \gexec
DROP TABLE tap.roles, tap.ways;
DROP SCHEMA anybodys CASCADE;
\i test/sql/include/clean.sql
DROP ROLE gina, dbo, below, standing;
