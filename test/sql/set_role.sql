\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Templates of mode set_role: nothing is inherited; the privileges come with SET ROLE jit_grant_<id>, for the holder only.
SELECT jit_create_template('fix', '{USAGE ON SCHEMA app, "SELECT, UPDATE ON app.orders"}', requesters => '{alice, dave}',
                           approvers => '{bob}', mode => 'set_role') AS role \gset
CREATE ROLE noah LOGIN NOINHERIT IN ROLE developers;
SELECT jit_alter_template('fix', requesters => '{developers, dave}') AS version \gset
\connect - alice
SELECT jit_request('fix', '1h') AS id \gset
SELECT 'jit_grant_' || :'id' AS grant_role \gset
CALL tap.start();
SELECT tap.refused(format('SET ROLE %I', :'grant_role'), '22023', 'before the approval there is no role to set');
\connect - noah
SELECT jit_request('fix', '1h') AS noahs \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
SELECT jit_approve(:noahs) AS state \gset

\connect - alice
CALL tap.start();
SELECT tap.refused('SELECT count(*) FROM app.orders', '42501', 'nothing is inherited');
SELECT ok(NOT pg_has_role('alice', 'jit_template_fix', 'USAGE'), 'not from the template''s role either');
SELECT results_eq('SELECT id, mode::text, grant_role FROM jit_access.my_grants',
                  format($$VALUES (%s::bigint, 'set_role', %L)$$, :id, :'grant_role'), 'my_grants names the role to set');
SET ROLE :grant_role;
SELECT current_user AS is_now, session_user AS is_always, count(*) AS orders FROM app.orders \gset
UPDATE app.orders SET status = 'fixed' WHERE id = 1 RETURNING status \gset
SELECT tap.refused('DELETE FROM app.orders', '42501', 'privileges that the template does not give are refused under the role');
SELECT tap.refused('SELECT * FROM app.customers', '42501', 'whatever the table');
RESET ROLE;
SELECT tap.refused('SELECT count(*) FROM app.orders', '42501', 'after RESET ROLE it is over');
SELECT results_eq(format('SELECT %L::text, %L::text, %s, %L::text', :'is_now', :'is_always', :orders, :'status'),
                  format($$VALUES (%L::text, 'alice', 3, 'fixed')$$, :'grant_role'), 'after SET ROLE the privileges are there');
BEGIN;
SET LOCAL ROLE :grant_role;
SELECT count(*) AS orders FROM app.orders \gset
COMMIT;
SELECT is(current_user::text || ' ' || :orders, 'alice 3', 'SET LOCAL ROLE works for one transaction');

-- Objects that every user may create would belong to the template's role, and the template could not be used any more.
\connect - :owner
CREATE SCHEMA anybodys;
GRANT USAGE, CREATE ON SCHEMA anybodys TO PUBLIC;
\connect - alice
SET ROLE :grant_role;
SELECT tap.error('CREATE TABLE anybodys.made (id int)') AS made, tap.error('CREATE DOMAIN anybodys.number AS int') AS typed, tap.error('SELECT lo_create(0)') AS large,
       tap.error('CREATE TEMP TABLE scratch (id serial, line text)') AS scratch \gset
RESET ROLE;
CALL tap.start();
SELECT is(tap.error('CREATE TABLE anybodys.mine (id int); DROP TABLE anybodys.mine'), 'no error', 'with the own role the user creates what every user may create');
SELECT alike(error, 'JA016 %: It would belong to the grant, whose template cannot change the schema.', what)
FROM (VALUES (1, 'a table would be the grant''s', :'made'), (2, 'a type would be the grant''s', :'typed'), (3, 'a large object would be the grant''s', :'large')) v (n, what, error) ORDER BY n;
SELECT is(:'scratch'::text, 'no error', 'temporary tables go with the session');
\connect - :owner
DROP SCHEMA anybodys CASCADE;

\connect - noah
SELECT 'jit_grant_' || :'noahs' AS grant_role \gset
SET ROLE :grant_role;
SELECT count(*) AS orders FROM app.orders \gset
RESET ROLE;
CALL tap.start();
SELECT is(:orders, 3, 'a login with NOINHERIT uses it the same way');
SELECT tap.refused(format('SET ROLE jit_grant_%s', :id), '42501', 'the role of another grant cannot be set');
\connect - dave
CALL tap.start();
SELECT tap.refused(format('SET ROLE jit_grant_%s', :id), '42501', 'not by other requesters');
\connect - bob
CALL tap.start();
SELECT tap.refused(format('SET ROLE jit_grant_%s', :id), '42501', 'nor by the approver');

-- A user who has the privilege from elsewhere as well is not stopped from using it.
SELECT jit_revoke(:id, 'done') AS state \gset
SELECT is(:'state'::text, 'revoked', 'the approver ends the grant');
\connect - :owner
CALL tap.start();
CALL tap.wait_for_cleanup();
SELECT is_empty(format($$SELECT rolname FROM pg_roles WHERE rolname IN ('jit_grant_%s', 'jit_gate_%s')$$, :id, :id),
                'after the end its roles are gone');
\connect - alice
CALL tap.start();
SELECT tap.refused(format('SET ROLE jit_grant_%s', :id), '22023', 'and cannot be set any more');
SELECT is_empty('SELECT * FROM jit_access.my_grants', 'nothing is held any more');
\i test/sql/include/clean.sql
DROP ROLE noah;
