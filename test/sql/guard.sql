\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Objects that are protected: the roles of the extension, the extension itself, the logins that hold grants. And
-- commands that a session may not run under a grant, because their effect would outlive it.
CREATE ROLE mallory LOGIN CREATEROLE CREATEDB;
CREATE ROLE minion;
CREATE SCHEMA mine AUTHORIZATION dave;
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}') AS role \gset
SELECT jit_create_template('fix', '{"USAGE, CREATE ON SCHEMA app", "SELECT ON app.orders"}', requesters => '{alice}', approvers => '{bob}',
                           mode => 'set_role', allow_schema_change => true) AS role \gset
\connect - alice
SELECT jit_request('debug_read', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - :owner
SELECT tap.state() AS before \gset

-- A user who may create roles may not touch these.
CREATE TABLE tap.statements (n integer GENERATED ALWAYS AS IDENTITY, statement text);
GRANT SELECT ON tap.statements TO PUBLIC;
INSERT INTO tap.statements (statement) SELECT replace(unnest(ARRAY[
    'CREATE ROLE jit_grant_999999', 'CREATE USER jit_gate_999999', 'CREATE GROUP jit_template_new', 'CREATE ROLE jit_marker',
    'ALTER ROLE %g LOGIN', 'ALTER ROLE jit_template_debug_read LOGIN', 'ALTER ROLE jit_template_debug_read PASSWORD ''x''',
    'ALTER ROLE jit_marker NOINHERIT', 'ALTER ROLE %g SET work_mem = ''1GB''', 'ALTER ROLE jit_template_debug_read RESET ALL',
    'ALTER ROLE %g RENAME TO free', 'ALTER ROLE jit_template_debug_read RENAME TO free', 'ALTER ROLE minion RENAME TO jit_grant_999999',
    'DROP ROLE %g', 'DROP ROLE minion, jit_template_debug_read', 'DROP ROLE IF EXISTS jit_marker',
    'GRANT %g TO mallory', 'GRANT jit_template_debug_read TO mallory', 'GRANT jit_marker TO mallory', 'GRANT minion, jit_template_debug_read TO mallory',
    'GRANT jit_template_debug_read TO mallory WITH ADMIN OPTION', 'GRANT minion TO %g', 'GRANT minion TO jit_template_debug_read',
    'REVOKE %g FROM alice', 'REVOKE jit_template_debug_read FROM %g', 'REVOKE jit_marker FROM %g',
    'ALTER GROUP jit_template_debug_read ADD USER mallory', 'ALTER GROUP %g DROP USER alice', 'ALTER GROUP minion ADD USER jit_template_debug_read',
    'CREATE ROLE newcomer IN ROLE jit_template_debug_read', 'CREATE ROLE newcomer IN GROUP %g', 'CREATE USER newcomer IN ROLE minion, jit_marker',
    'CREATE ROLE newcomer ROLE jit_template_debug_read', 'CREATE ROLE newcomer ADMIN %g']), '%g', 'jit_grant_' || :'id');
\connect - mallory
CALL tap.start();
SELECT alike(tap.error(statement), 'JA016 role "jit_%" is managed by jit_access: Changing it by hand would give, keep or hide access that was not approved.',
             regexp_replace(statement, 'jit_grant_\d{1,5}\M', 'jit_grant_<id>'))
FROM tap.statements ORDER BY n;
SELECT tap.refused($call$DO $do$ BEGIN EXECUTE 'GRANT jit_template_debug_read TO mallory'; END $do$$call$,
    'JA016 role "jit_template_debug_read" is managed by jit_access: Changing it by hand would give, keep or hide access that was not approved.', 'nor by a detour');
SELECT tap.refused(statement, format('JA016 role "%s" is a group role of jit_access: Its members administer, audit or monitor all access.', office), 'an office: ' || statement) FROM (VALUES
    (1, 'GRANT jit_admin TO mallory', 'jit_admin'), (2, 'GRANT minion, jit_auditor TO mallory', 'jit_auditor'), (3, 'REVOKE jit_auditor FROM olga', 'jit_auditor'),
    (4, 'CREATE ROLE newcomer IN ROLE jit_admin', 'jit_admin'), (5, 'ALTER GROUP jit_auditor ADD USER mallory', 'jit_auditor'),
    (6, 'GRANT jit_monitor TO mallory', 'jit_monitor'),
    -- Before 16 CREATEROLE changes every role that is no superuser: with LOGIN and a password, a group is a user who belongs to it.
    (7, 'ALTER ROLE jit_admin LOGIN PASSWORD ''x''', 'jit_admin'), (8, 'ALTER USER jit_auditor VALID UNTIL ''infinity''', 'jit_auditor'), (9, 'ALTER ROLE jit_monitor CREATEDB', 'jit_monitor'),
    (10, 'CREATE ROLE jit_admin', 'jit_admin'), (11, 'ALTER ROLE minion RENAME TO jit_auditor', 'jit_auditor')) v (n, statement, office) ORDER BY n;
SELECT alike(tap.error(statement), 'JA016 role "jit_%" cannot be dropped or renamed: %', statement) FROM unnest('{ALTER ROLE jit_admin RENAME TO free,DROP ROLE jit_auditor,"DROP USER minion, jit_monitor"}'::text[]) WITH ORDINALITY AS v (statement, n) ORDER BY n;
SELECT alike(tap.error(statement), 'JA016 role "jit_%" is managed by jit_access: %', regexp_replace(statement, '\d+', '<id>')) FROM unnest(ARRAY[
    format('COMMENT ON ROLE jit_grant_%s IS ''mine''', :id), 'COMMENT ON ROLE jit_marker IS ''mine''', 'SECURITY LABEL ON ROLE jit_template_debug_read IS ''mine''']) WITH ORDINALITY AS v (statement, n) ORDER BY n;
SELECT is(tap.error('CREATE ROLE jit_reader'), 'no error', 'other names are free');

-- The owner of an object may not grant on it to these roles: that could stop or widen a template.
\connect - dave
CREATE TABLE mine.bait (id integer);
CALL tap.start();
SELECT alike(tap.error(statement), 'JA016 %', statement)
FROM unnest(ARRAY['GRANT SELECT ON mine.bait TO jit_template_debug_read', 'GRANT SELECT ON mine.bait TO jit_template_debug_read WITH GRANT OPTION',
                  'GRANT CREATE ON SCHEMA mine TO jit_template_debug_read', 'GRANT TRIGGER ON mine.bait TO alice, jit_template_debug_read',
                  'GRANT SELECT (id) ON mine.bait TO jit_marker',
                  'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO jit_template_debug_read']) WITH ORDINALITY AS v (statement, n) ORDER BY n;

-- Objects that live grants need cannot be dropped.
\connect - :owner
CALL tap.start();
SELECT tap.refused('DROP ROLE alice', format('JA015 role "alice" cannot be dropped: It holds grant %s, which is live.', :id), 'DROP ROLE of the holder');
SELECT tap.refused('DROP USER IF EXISTS minion, alice', format('JA015 role "alice" cannot be dropped: It holds grant %s, which is live.', :id), 'among others');
SELECT tap.refused('DROP EXTENSION jit_access',
    format('JA015 jit_access cannot be dropped: Grant %s is live or not cleaned up yet; without jit_access it would never end.', :id), 'DROP EXTENSION');
SELECT tap.refused('DROP EXTENSION jit_access CASCADE',
    format('JA015 jit_access cannot be dropped: Grant %s is live or not cleaned up yet; without jit_access it would never end.', :id), 'DROP EXTENSION CASCADE');
SELECT isnt(tap.error('DROP SCHEMA jit_access CASCADE'), 'no error', 'DROP SCHEMA CASCADE');
SELECT isnt(tap.error('DROP TABLE jit_access.request CASCADE'), 'no error', 'DROP TABLE CASCADE');
SELECT is(tap.state(), :'before', 'nothing has changed');

-- Under a grant.
\connect - alice
SELECT count(*) AS orders FROM app.orders \gset
CALL tap.start();
CREATE TEMPORARY TABLE mine (id integer);
SELECT tap.refused(statement, format('JA016 %s is not allowed to a session that uses a grant: %s', tag, why), statement) FROM (VALUES
    (1, 'GRANT SELECT ON mine TO PUBLIC', 'GRANT', 'GRANT and REVOKE would pass privileges on.'),
    (2, 'REVOKE SELECT ON mine FROM PUBLIC', 'REVOKE', 'GRANT and REVOKE would pass privileges on.'),
    (3, 'GRANT alice TO dave', 'GRANT ROLE', 'GRANT and REVOKE would pass privileges on.'),
    (4, 'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC', 'ALTER DEFAULT PRIVILEGES', 'Default privileges outlive the grant.'),
    (5, 'CREATE ROLE newcomer', 'CREATE ROLE', 'Roles outlive the grant.'),
    (6, 'ALTER ROLE alice PASSWORD ''x''', 'ALTER ROLE', 'Changes of roles outlive the grant.'),
    (7, 'ALTER ROLE alice SET work_mem = ''1GB''', 'ALTER ROLE', 'Settings of roles outlive the grant.'),
    (8, 'DROP ROLE dave', 'DROP ROLE', 'Changes of roles outlive the grant.'),
    (9, 'ALTER DATABASE contrib_regression SET work_mem = ''1GB''', 'ALTER DATABASE', 'Settings of databases outlive the grant.'),
    (10, 'ALTER SCHEMA app OWNER TO alice', 'ALTER SCHEMA', 'A change of owner outlives the grant.'),
    (11, 'ALTER TABLE mine OWNER TO jit_template_debug_read', 'ALTER TABLE', 'A change of owner outlives the grant.'),
    (12, 'REASSIGN OWNED BY alice TO dave', 'REASSIGN OWNED', 'A change of owner outlives the grant.'),
    (13, 'DROP OWNED BY alice', 'DROP OWNED', 'Dropping the objects of a role outlives the grant.'),
    (14, 'CREATE EXTENSION pgcrypto', 'CREATE EXTENSION', 'Extensions bring code.'),
    (15, 'CREATE PUBLICATION p', 'CREATE PUBLICATION', 'Replication carries data away.'),
    (16, 'LOAD ''auto_explain''', 'LOAD', 'Libraries bring code.'),
    (17, 'COPY app.orders TO ''/tmp/orders''', 'COPY', 'The record does not show what programs and files of the server do.'),
    (18, 'COPY mine FROM PROGRAM ''id''', 'COPY', 'The record does not show what programs and files of the server do.'),
    (19, 'SET SESSION AUTHORIZATION dave', 'SET', 'The record identifies users by the session user.')) v (n, statement, tag, why) ORDER BY n;
-- What the holder makes as themself is refused only if it could carry the grant's privileges.
SELECT tap.refused(statement, 'JA016 this is not allowed to a session that uses a grant: It would lend the privileges of the grant to its ' || whom, statement) FROM (VALUES
    (1, 'CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE sql SECURITY DEFINER AS ''SELECT 1''', 'callers.'),
    (2, 'CREATE VIEW pg_temp.v AS SELECT * FROM app.orders', 'users; a view with security_invoker does not.')) v (n, statement, whom) ORDER BY n;
SELECT is(tap.error(statement), 'no error', 'allowed: ' || statement) FROM (VALUES
    (1, 'CREATE PROCEDURE pg_temp.p() LANGUAGE sql AS ''SELECT 1'''), (2, 'CREATE TRIGGER t AFTER INSERT ON mine EXECUTE FUNCTION suppress_redundant_updates_trigger()'),
    (3, 'CREATE RULE r AS ON INSERT TO mine DO INSTEAD NOTHING'), (4, 'CREATE VIEW pg_temp.v WITH (security_invoker) AS SELECT * FROM app.orders'),
    (5, 'CREATE VIEW pg_temp.v AS SELECT * FROM mine'), (6, 'CREATE POLICY p ON mine USING (true)')) v (n, statement) ORDER BY n;
SELECT tap.refused($call$DO $do$ BEGIN EXECUTE 'GRANT SELECT ON mine TO PUBLIC'; END $do$$call$,
    'JA016 GRANT is not allowed to a session that uses a grant: GRANT and REVOKE would pass privileges on.', 'nor by a detour');
ALTER SYSTEM SET work_mem = '1GB';
\set alter_system :SQLSTATE
BEGIN;
INSERT INTO mine VALUES (1);
PREPARE TRANSACTION 'later';
\set prepare :SQLSTATE
SELECT is(:'alter_system' || ' ' || :'prepare', 'JA016 JA016', 'ALTER SYSTEM and PREPARE TRANSACTION, which ends the transaction like every one that fails');
SELECT lives_ok('CREATE TABLE pg_temp.other AS SELECT * FROM mine', 'a table of one''s own is allowed');
SELECT lives_ok('SET work_mem = ''1MB''', 'so is a setting of the session');

-- The same after SET ROLE, with a template that may change the schema.
\connect - alice
SELECT jit_request('fix', '1h') AS fix \gset
\connect - bob
SELECT jit_revoke(:id) AS state \gset
SELECT jit_approve(:fix) AS state \gset
\connect - :owner
CALL tap.wait_for_cleanup();
SELECT 'jit_grant_' || :'fix' AS grant_role \gset
\connect - alice
CALL tap.start();
SELECT isnt(tap.error('CREATE ROLE newcomer'), 'JA016', 'before SET ROLE the session is like any other');
SET ROLE :grant_role;
CREATE TABLE app.made (id integer);
SELECT tap.refused(statement, format('JA016 %s is not allowed to a session that uses a grant: %s', tag, why), statement) FROM (VALUES
    (1, 'GRANT ALL ON app.made TO alice', 'GRANT', 'GRANT and REVOKE would pass privileges on.'),
    (2, 'ALTER TABLE app.made OWNER TO alice', 'ALTER TABLE', 'A change of owner outlives the grant.'),
    (3, 'CREATE FUNCTION app.backdoor() RETURNS integer LANGUAGE sql SECURITY DEFINER AS ''SELECT 1''', 'CREATE FUNCTION', 'Functions run with the privileges of their owner.'),
    (4, 'CREATE VIEW app.backdoor AS SELECT * FROM app.orders', 'CREATE VIEW', 'Views give what their owner can see.'),
    (5, 'CREATE TRIGGER t AFTER INSERT ON app.made EXECUTE FUNCTION suppress_redundant_updates_trigger()', 'CREATE TRIGGER', 'Triggers run in statements of other users.'))
    v (n, statement, tag, why) ORDER BY n;
SELECT lives_ok('ALTER TABLE app.made ADD COLUMN more text', 'commands that the template is for are allowed');
RESET ROLE;
\connect - alice
SELECT jit_revoke(:fix) AS state \gset
\connect - :owner
CALL tap.start();
CALL tap.wait_for_cleanup();
DROP TABLE app.made;
DROP TABLE tap.statements;
DROP SCHEMA mine CASCADE;
\i test/sql/include/clean.sql
DROP ROLE mallory, minion;
