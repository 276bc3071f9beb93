\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- The record says of each used privilege whether it needed the grant or was standing.
CREATE TABLE app.log (id integer, line text);
CREATE ROLE team ROLE alice;
GRANT USAGE ON SCHEMA app TO alice, team;
GRANT SELECT ON app.orders TO alice;
GRANT SELECT (id), UPDATE (name) ON app.customers TO alice;
GRANT UPDATE ON app.log TO team;
CREATE TABLE app.left_out (id integer);
ALTER TABLE app.left_out OWNER TO alice;
REVOKE SELECT ON app.left_out FROM alice;
CREATE SEQUENCE app.turns;
ALTER SEQUENCE app.turns OWNER TO alice;
SELECT format('CREATE TABLE app.o%s (id integer); ALTER TABLE app.o%1$s OWNER TO alice', n) FROM generate_series(1, 64) n \gexec
SELECT string_agg('app.o' || n, ', ') AS many FROM generate_series(1, 64) n \gset
CREATE VIEW app.names AS SELECT name FROM app.customers;
CREATE VIEW app.everything WITH (security_invoker) AS SELECT * FROM app.orders;
SELECT jit_create_template('partly_own', '{"USAGE ON SCHEMA app", "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app"}',
                           requesters => '{alice}', approvers => '{bob}') AS role \gset
SELECT jit_create_template('partly_own_role', '{"USAGE ON SCHEMA app", "SELECT, UPDATE ON app.orders"}', requesters => '{alice}', approvers => '{bob}',
                           mode => 'set_role') AS role \gset
\connect - alice
SELECT jit_request('partly_own', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset

\connect - alice
SET application_name = 'own or not';
\o /dev/null
SELECT count(*) FROM app.orders;
UPDATE app.orders SET status = 'seen' WHERE id = 1;
SELECT id FROM app.customers;
SELECT count(*) FROM app.customers;
SELECT name FROM app.customers;
SELECT c FROM app.customers c;
UPDATE app.customers SET name = 'Kim' WHERE id = 1;
UPDATE app.customers SET id = 1 WHERE id = 1;
UPDATE app.log SET line = 'x';
DELETE FROM app.log;
SELECT * FROM app.names;
SELECT count(*) FROM app.everything;
SELECT o.id FROM app.orders o JOIN app.log l USING (id);
SELECT 1;
SELECT count(*) FROM app.left_out;
SELECT nextval('app.turns');
COPY app.orders TO STDOUT;
COPY app.customers TO STDOUT;
EXPLAIN SELECT name FROM app.customers;
BEGIN;
LOCK app.customers;
COMMIT;
SELECT 'many' FROM :many;
SELECT 'more' FROM :many, app.customers c;
SELECT 'most' FROM app.log l, :many;
SET ROLE team;
UPDATE app.log SET line = 'by team';
RESET ROLE;
\o
-- Standing privileges change while the session goes on.
\connect - :owner
REVOKE SELECT ON app.orders FROM alice;
\connect - alice
SET application_name = 'own or not';
SELECT id AS first FROM app.orders WHERE id = 1 \gset
\connect - :owner
CALL tap.wait_for_record();

\connect - olga
CALL tap.start();
SELECT results_eq(
    $$SELECT statement COLLATE "default", objects, privileges, standing_privileges, needed_grant FROM jit_access.audit_log
      WHERE kind = 'use' AND depth = 0 AND application = 'own or not' AND tag IN ('SELECT', 'UPDATE', 'DELETE') AND statement !~ 'app.o64|left_out|turns' ORDER BY seq$$,
    $$VALUES ('SELECT count(*) FROM app.orders', '{app.orders}'::text[], '{SELECT}'::text[], '{SELECT}'::text[], false),
             ('UPDATE app.orders SET status = ''seen'' WHERE id = 1', '{app.orders}', '{"SELECT,UPDATE"}', '{SELECT}', true),
             ('SELECT id FROM app.customers', '{app.customers}', '{SELECT}', '{SELECT}', false),
             ('SELECT count(*) FROM app.customers', '{app.customers}', '{SELECT}', '{SELECT}', false),
             ('SELECT name FROM app.customers', '{app.customers}', '{SELECT}', '{""}', true),
             ('SELECT c FROM app.customers c', '{app.customers}', '{SELECT}', '{""}', true),
             ('UPDATE app.customers SET name = ''Kim'' WHERE id = 1', '{app.customers}', '{"SELECT,UPDATE"}', '{"SELECT,UPDATE"}', false),
             ('UPDATE app.customers SET id = 1 WHERE id = 1', '{app.customers}', '{"SELECT,UPDATE"}', '{SELECT}', true),
             ('UPDATE app.log SET line = ''x''', '{app.log}', '{UPDATE}', '{UPDATE}', false),
             ('DELETE FROM app.log', '{app.log}', '{DELETE}', '{""}', true),
             ('SELECT * FROM app.names', '{app.names,app.customers}', '{SELECT,SELECT}', '{"",SELECT}', true),
             ('SELECT count(*) FROM app.everything', '{app.everything,app.orders}', '{SELECT,SELECT}', '{"",SELECT}', true),
             ('SELECT o.id FROM app.orders o JOIN app.log l USING (id)', '{app.orders,app.log}', '{SELECT,SELECT}', '{SELECT,""}', true),
             ('SELECT 1', '{}', '{}', '{}', NULL),
             ('SELECT id AS first FROM app.orders WHERE id = 1', '{app.orders}', '{SELECT}', '{""}', true)$$,
    'by a grant to the user, to a role of the user, of single columns, of the owner of a view; and revoked ones');
SELECT results_eq(
    $$SELECT tag COLLATE "default", objects[1], privileges[1], standing_privileges[1], needed_grant FROM jit_access.audit_log
      WHERE kind = 'use' AND depth = 0 AND application = 'own or not' AND (tag IN ('COPY', 'EXPLAIN', 'LOCK TABLE') OR statement ~ 'left_out|turns') ORDER BY seq$$,
    $$VALUES ('SELECT', 'app.left_out', 'SELECT', '', true), ('SELECT', 'app.turns', 'USAGE', 'USAGE', false), ('COPY', 'app.orders', 'SELECT', 'SELECT', false),
             ('COPY', 'app.customers', 'SELECT', '', true), ('EXPLAIN', 'app.customers', 'SELECT', '', true), ('LOCK TABLE', 'app.customers', 'LOCK', '', true)$$,
    'the owner''s remaining privileges; for a command, those on the whole relation');
SELECT results_eq(
    $$SELECT left(statement, 13) COLLATE "default", needed_grant FROM jit_access.audit_log WHERE application = 'own or not' AND statement ~ 'app.o64' AND depth = 0 ORDER BY seq$$,
    $$VALUES ('SELECT ''many''', false), ('SELECT ''more''', NULL), ('SELECT ''most''', true)$$, 'beyond the recorded objects, only whether the statement needed the grant is known');

-- Under the role of the grant, the standing privileges are those of the session user.
\connect - :owner
GRANT SELECT ON app.orders TO team;
\connect - alice
SELECT jit_revoke(:id) AS state \gset
SELECT jit_request('partly_own_role', '1h') AS fix \gset
\connect - bob
SELECT jit_approve(:fix) AS state \gset
\connect - :owner
CALL tap.wait_for_cleanup();
\connect - alice
SET application_name = 'own by role';
SELECT 'jit_grant_' || :'fix' AS grant_role \gset
SET ROLE :grant_role;
UPDATE app.orders SET status = 'seen' WHERE id = 2;
RESET ROLE;
\connect - :owner
CALL tap.wait_for_record();
\connect - olga
CALL tap.start();
SELECT results_eq(
    $$SELECT role COLLATE "default", privileges, standing_privileges, needed_grant FROM jit_access.audit_log WHERE application = 'own by role' AND tag = 'UPDATE'$$,
    format($$VALUES (%L, '{"SELECT,UPDATE"}'::text[], '{SELECT}'::text[], true)$$, :'grant_role'), 'under SET ROLE');
\connect - :owner
CALL tap.start();
DROP OWNED BY alice, team;
DROP ROLE team;
\i test/sql/include/clean.sql
