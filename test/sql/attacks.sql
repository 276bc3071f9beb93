\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Attempts to get round a grant: by membership instead of privilege, by another user's view, by objects that outlive
-- the role of the session, by the predefined roles, by a template item that has become void.
CREATE ROLE keeper;
GRANT USAGE ON SCHEMA app TO keeper;
GRANT SELECT, INSERT ON app.orders TO keeper;
CREATE SCHEMA other;
CREATE ROLE etl LOGIN IN ROLE pg_write_all_data, pg_read_all_data;
CREATE TABLE app.secret AS SELECT 7 AS id;
SELECT jit_create_template('deep', '{keeper}', requesters => '{alice}', approvers => '{bob}', mode => 'set_role') AS role \gset
SELECT jit_create_template('lent', '{USAGE ON SCHEMA app, SELECT ON app.secret}', requesters => '{alice}', approvers => '{bob}') AS role \gset
SELECT jit_create_template('mine', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{dave}', approvers => '{bob}') AS role \gset
SELECT jit_create_template('wide', '{SELECT ON ALL TABLES IN SCHEMA app, SELECT ON ALL TABLES IN SCHEMA other}', requesters => '{alice}',
                           approvers => '{bob}') AS role \gset
\connect - alice
SELECT jit_request('deep', '1h') AS deep \gset
\connect - bob
SELECT jit_approve(:deep) AS state \gset

-- Commands that check only a membership are refused, although nothing of the grant is in use.
\connect - alice
CALL tap.start();
SELECT alike(tap.error(statement), 'JA016 % is not allowed to a session that uses a grant: %', statement)
FROM unnest(ARRAY['CREATE SCHEMA planted AUTHORIZATION keeper', 'ALTER DEFAULT PRIVILEGES FOR ROLE keeper GRANT SELECT ON TABLES TO alice',
                  'ALTER SCHEMA app OWNER TO keeper', 'REASSIGN OWNED BY alice TO keeper', 'DROP OWNED BY keeper']) WITH ORDINALITY AS v (statement, n)
ORDER BY n;

-- A transaction that has written under the grant cannot be prepared after RESET ROLE.
SELECT 'jit_grant_' || :'deep' AS grant_role \gset
SET ROLE :grant_role;
BEGIN;
INSERT INTO app.orders VALUES (99, 'late');
RESET ROLE;
\set VERBOSITY sqlstate
PREPARE TRANSACTION 'late';
\set VERBOSITY default
SELECT is((SELECT count(*) FROM pg_prepared_xacts), 0::bigint, 'a transaction that used a grant is not prepared');

-- After the end nothing of the grant is left.
\connect - alice
SELECT jit_revoke(:deep) AS state \gset
\connect - :owner
CALL tap.wait_for_cleanup();
CALL tap.start();
SELECT is((SELECT count(*) FROM pg_auth_members WHERE member = 'alice'::regrole AND roleid = 'keeper'::regrole), 0::bigint, 'no membership is left');

-- A view runs with the grant of its owner: that grant is on the record, beside the reader's own.
CREATE SCHEMA lending AUTHORIZATION alice;
CREATE VIEW lending.secret AS SELECT * FROM app.secret;
ALTER VIEW lending.secret OWNER TO alice;
\connect - alice
GRANT USAGE ON SCHEMA lending TO dave;
GRANT SELECT ON lending.secret TO dave;
SELECT jit_request('lent', '1h') AS lent \gset
\connect - dave
SELECT jit_request('mine', '1h') AS own \gset
\connect - bob
SELECT jit_approve(:lent) AS state, jit_approve(:own) AS other_state \gset
\connect - dave
SELECT id AS seen FROM lending.secret \gset
\connect - :owner
CALL tap.start();
SELECT is(:seen, 7, 'the view is read');
CALL tap.wait_for_record();
SELECT results_eq(format($$SELECT login, grants @> ARRAY[%s, %s]::bigint[] FROM jit_access.audit_log WHERE statement LIKE '%%FROM lending.secret%%' AND kind = 'use'$$,
                         :lent, :own), $$VALUES ('dave', true)$$, 'under both grants');
SELECT jit_revoke(id) AS state FROM unnest(ARRAY[:lent, :own]) AS id \g /dev/null
CALL tap.wait_for_cleanup();

-- The predefined roles for all data reach neither templates nor record.
\connect - etl
CALL tap.start();
SELECT isnt(tap.error($$UPDATE jit_access.template_catalog SET approvals_needed = 1$$), 'no error', 'templates are not changed through their catalog');
SELECT is((SELECT count(*) FROM jit_access.audit_log), 0::bigint, 'the record is not read');
SELECT is((SELECT count(*) FROM jit_access.grant_history) + (SELECT count(*) FROM jit_access.decisions), 0::bigint, 'nor do the other views of auditors');
DELETE FROM jit_access.record;
UPDATE jit_access.request SET state = 'denied';
\connect - :owner
CALL tap.start();
SELECT ok(count(*) > 20, 'nor changed') FROM jit_access.record;
SELECT is((SELECT count(*) FROM jit_access.request WHERE state = 'denied' AND id >= :deep), 0::bigint, 'nor is a request');

-- A void item does not make CREATE TABLE fail for other users.
\connect - :owner
CALL tap.start();
DROP SCHEMA other;
CREATE TABLE app.later (id integer);
SELECT ok(has_table_privilege('jit_template_wide', 'app.later', 'SELECT'), 'a table is made although an item of a template is void, and the other items cover it');
\o /dev/null
SELECT jit_drop_template(name) FROM jit_access.template_catalog;
\o
DROP SCHEMA lending CASCADE;
\i test/sql/include/clean.sql
DROP OWNED BY keeper, etl;
DROP ROLE keeper, etl;
