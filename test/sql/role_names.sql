\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Roles may have any name. Names are compared byte by byte: never folded, truncated, or read as a number.
CREATE ROLE "the ""approver""; --" LOGIN;
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON app.orders}', approvers => ARRAY['the "approver"; --']) AS role \gset
\set approver 'the "approver"; --'

\set login '10'
\set description 'a name of digits, which is not the role with that OID'
\i test/sql/include/odd_login.sql
DROP ROLE :"login";
\set login 'with "quotes" and \'quotes\' and \\'
\set description 'a name with quotes and a backslash'
\i test/sql/include/odd_login.sql
DROP ROLE :"login";
\set login 'two\nlines; DROP TABLE app.orders'
\set description 'a name of two lines'
\i test/sql/include/odd_login.sql
DROP ROLE :"login";
\set login 'alice\x1b[1A\x1b[2Kbob'
\set description 'a name that moves the cursor of a terminal'
\i test/sql/include/odd_login.sql
DROP ROLE :"login";
\set login 'current_user'
\set description 'a name that is a keyword'
\i test/sql/include/odd_login.sql
DROP ROLE :"login";
\set login 'Alice'
\set description 'a name that differs by a capital letter'
\i test/sql/include/odd_login.sql
DROP ROLE :"login";
\set login 'аlice'
\set description 'a name that differs by a Cyrillic letter'
\i test/sql/include/odd_login.sql
DROP ROLE :"login";
\set login ' alice '
\set description 'a name with spaces around it'
\i test/sql/include/odd_login.sql
DROP ROLE :"login";
\set login 'jit_requests'
\set description 'a name that begins like those of the extension'
\i test/sql/include/odd_login.sql
DROP ROLE :"login";
SELECT repeat('r', 63) AS login \gset
\set description 'a name of 63 bytes'
\i test/sql/include/odd_login.sql

-- Look-alikes. The role of 63 bytes still exists.
CREATE ROLE "10" LOGIN;
SELECT tap.refused(format('SELECT jit_alter_template(''debug_read'', requesters => ARRAY[%L])', repeat('r', 64)),
    format('JA001 invalid requesters: There is no role "%s".', repeat('r', 64)), 'a requester that would be cut to a role that exists');
SELECT tap.refused(format('SELECT jit_create_template(''x'', ''{USAGE ON SCHEMA app}'', approvers => ARRAY[%L])', repeat('r', 64)),
    format('JA001 invalid approvers: There is no role "%s".', repeat('r', 64)), 'an approver');
SELECT tap.refused(format('SELECT jit_create_template(''x'', role => %L)', repeat('r', 64)),
    format('JA001 invalid role: There is no role "%s".', repeat('r', 64)), 'a role to adopt');
ALTER ROLE :"login" NOLOGIN;
SELECT tap.state() AS before \gset
SELECT alike(tap.error(format('SELECT jit_create_template(''x'', ARRAY[%L])', repeat('r', 64))), 'JA008 %', 'a membership');
SELECT format('CREATE TABLE app.%s (id integer)', repeat('t', 63)) \gexec
SELECT alike(tap.error(format('SELECT jit_create_template(''x'', ARRAY[%L])', 'SELECT ON app.' || repeat('t', 64))), 'JA008 %', 'a table');
SELECT format('DROP TABLE app.%s', repeat('t', 63)) \gexec
SELECT tap.refused($$SELECT jit_alter_template('debug_read', requesters => '{"10 "}')$$, 'JA001 invalid requesters: There is no role "10 ".', 'a space more');
SELECT tap.refused($$SELECT jit_alter_template('debug_read', requesters => '{"\"10\""}')$$, 'JA001 invalid requesters: There is no role ""10"".', 'a name in quotes');
SELECT tap.refused(format('SELECT jit_alter_template(''debug_read'', requesters => ARRAY[%L])', 'alice' || chr(8203)),
    format('JA001 invalid requesters: There is no role "%s".', 'alice' || chr(8203)), 'a zero-width space more');
SELECT is(tap.state(), :'before', 'none of these has changed anything');

-- Roles are pinned by OID: a new role with the same name is another role.
SELECT jit_alter_template('debug_read', requesters => '{alice, "10"}', approvers => '{bob}') AS version \gset
\connect - alice
SELECT jit_request('debug_read', '1h') AS alices \gset
\connect - "10"
SELECT jit_request('debug_read', '1h') AS tens \gset
\connect - :owner
DROP ROLE "10", bob;
CREATE ROLE "10" LOGIN;
CREATE ROLE bob LOGIN;
\connect - bob
CALL tap.start();
SELECT alike(tap.error(format('SELECT jit_approve(%s)', :alices)), 'JA003 %', 'a new role with an approver''s name is not an approver');
SELECT is_empty('SELECT * FROM jit_access.pending_requests', 'and sees nothing to decide');
\connect - "10"
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_request('debug_read', '1h')$$), 'JA002 %', 'a new role with a requester''s name is not a requester');
SELECT is_empty('SELECT * FROM jit_access.my_requests', 'and has no past');
\connect - :owner
SELECT jit_alter_template('debug_read', approvers => '{bob}', requesters => '{alice, carol}') AS version \gset
\connect - alice
SELECT jit_request('debug_read', '1h') AS id \gset
\connect - carol
SELECT jit_request('debug_read', '1h') AS carols \gset
\connect - :owner
ALTER ROLE alice RENAME TO alice_2;
DROP ROLE carol;
CREATE ROLE carol LOGIN;
\connect - bob
CALL tap.start();
SELECT jit_approve(:id);
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('cannot activate request %s', :id), 'a renamed requester');
SELECT jit_approve(:carols);
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('cannot activate request %s', :carols), 'a requester who was dropped and created again');
SELECT is(jit_deny(:carols, 'nobody there'), 'denied', 'it can be denied');
\connect - :owner
ALTER ROLE alice_2 RENAME TO alice;
\connect - bob
SELECT jit_approve(:id) AS state \gset
CALL tap.start();
SELECT is(:'state'::text, 'active', 'with the old name back it is approved');
\connect - :owner
ALTER ROLE alice RENAME TO alice_3;
\connect - alice_3
SELECT count(*) AS orders FROM app.orders \gset
\connect - bob
SELECT jit_revoke(:id) AS state \gset
\connect - :owner
CALL tap.start();
CALL tap.wait_for_cleanup();
SELECT is(:'orders' || (SELECT count(*) FROM pg_auth_members WHERE member = 'alice_3'::regrole AND roleid <> 'developers'::regrole), '30',
          'a rename while the grant is live neither loses nor keeps it');
ALTER ROLE alice_3 RENAME TO alice;
DROP ROLE :"login", "10";
\i test/sql/include/clean.sql
DROP ROLE "the ""approver""; --";
