\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Narrowed requests: only the requested tables, and never more than the template's role holds itself.
CREATE TABLE app."Odd.name" (id integer);
CREATE TABLE app.elsewhere (id integer);
CREATE SCHEMA other;
CREATE TABLE other.orders (id integer);
CREATE ROLE app_reader;
GRANT SELECT ON other.orders TO app_reader;
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, "SELECT, UPDATE ON app.orders", "SELECT (id) ON app.customers", "SELECT ON app.\"Odd.name\"", app_reader}',
                           requesters => '{alice}', approvers => '{bob}') AS role \gset
SELECT jit_create_template('changer', '{"USAGE, CREATE ON SCHEMA app"}', requesters => '{alice}', approvers => '{bob}',
                           mode => 'set_role', allow_schema_change => true) AS role \gset
SELECT jit_create_template('narrow_set_role', '{USAGE ON SCHEMA app, SELECT ON ALL TABLES IN SCHEMA app}', requesters => '{alice}',
                           approvers => '{bob}', mode => 'set_role') AS role \gset
SELECT tap.state() AS before \gset

\connect - alice
CALL tap.start();
SELECT tap.refused($$SELECT jit_request('debug_read', '1h', scope => '{}')$$, 'JA001 invalid scope: It is empty.', 'an empty scope');
SELECT tap.refused($$SELECT jit_request('debug_read', '1h', scope => '{app.orders, NULL}')$$, 'JA001 invalid scope: The array holds a NULL.',
                   'a NULL in it');
SELECT tap.refused($$SELECT jit_request('debug_read', '1h', scope => '{{app.orders}, {app.customers}}')$$,
                   'JA001 invalid scope: The array has more than one dimension.', 'two dimensions');
SELECT tap.refused($$SELECT jit_request('debug_read', '1h', scope => '{app.orders, app.orders}')$$,
                   'JA001 invalid scope: It names "app.orders" twice.', 'the same twice');
SELECT tap.refused($$SELECT jit_request('debug_read', '1h', scope => '{app.missing}')$$,
                   'JA001 invalid scope: There is no relation "app.missing".', 'a table that does not exist');
SELECT tap.refused($$SELECT jit_request('debug_read', '1h', scope => '{orders}')$$,
                   'JA001 invalid scope: There is no relation "orders".', 'a table without its schema');
SELECT tap.refused($$SELECT jit_request('debug_read', '1h', scope => '{app.elsewhere}')$$,
                   'JA008 template "debug_read" does not cover "app.elsewhere": A scope can only narrow what the template''s role holds itself.',
                   'a table of the schema that the template does not cover');
SELECT tap.refused($$SELECT jit_request('debug_read', '1h', scope => '{other.orders}')$$,
                   'JA008 template "debug_read" does not cover "other.orders": A scope can only narrow what the template''s role holds itself.',
                   'a table that is reached through another role');
SELECT tap.refused($$SELECT jit_request('debug_read', '1h', scope => '{pg_catalog.pg_authid}')$$,
                   'JA008 template "debug_read" does not cover "pg_catalog.pg_authid": A scope can only narrow what the template''s role holds itself.',
                   'a table of the catalogs');
SELECT tap.refused($$SELECT jit_request('debug_read', '1h', scope => array_fill('app.orders'::text, ARRAY[65]))$$,
                   'JA001 invalid scope: It names 65 objects; at most 64 are possible.', 'too many tables');
SELECT tap.refused(format($$SELECT jit_request('debug_read', '1h', scope => ARRAY[%L])$$, name),
                   format('JA001 invalid scope: There is no relation "%s".', name), description)
FROM (VALUES (1, '', 'an empty name'), (2, 'app.', 'a schema and nothing'), (3, '.', 'nothing and nothing'),
             (4, '"app.orders', 'an open quote'), (5, 'contrib_regression.app.orders.x', 'four names'),
             (6, 'elsewhere.app.orders', 'another database'), (7, 'app.orders; DROP TABLE app.orders', 'a statement'),
             (8, '""."orders"', 'an empty schema')) v (n, name, description) ORDER BY n;
SELECT tap.refused($$SELECT jit_request('changer', '1h', scope => '{app.orders}')$$,
                   'JA001 invalid scope: A template that changes the schema cannot be narrowed to tables.', 'schema changes');
SELECT is(tap.state(), :'before', 'none of these has asked for anything');

-- A name is read as SQL reads it.
SELECT jit_request('debug_read', '1h', scope => ARRAY['app."Odd.name"', 'app.customers']) AS id \gset
\connect - bob
CALL tap.start();
SELECT is((SELECT scope FROM jit_access.pending_requests WHERE id = :id), ARRAY['app."Odd.name"', 'app.customers'],
          'the approver sees the tables');
SELECT jit_approve(:id) AS got \gset
SELECT is(:'got'::text, 'active', 'and approves them');
\connect - alice
CALL tap.start();
SELECT tap.refused('SELECT * FROM app.orders', '42501', 'a table that was not asked for');
SELECT tap.refused('SELECT name FROM app.customers', '42501', 'a column that the template does not give');
SELECT lives_ok('SELECT id FROM app.customers', 'a column that it gives');
SELECT lives_ok('SELECT * FROM app."Odd.name"', 'a table with an odd name');
SELECT tap.refused('SELECT * FROM other.orders', '42501', 'privileges that the template''s role has by membership');
SELECT ok(NOT pg_has_role('alice', 'jit_template_debug_read', 'MEMBER'), 'the template''s role is not reached at all');
SELECT ok(NOT pg_has_role('alice', 'app_reader', 'MEMBER'), 'nor the membership itself');

-- Two scopes add up, and end one by one.
SELECT jit_request('debug_read', '1h', scope => '{app.orders}') AS second \gset
\connect - bob
SELECT jit_approve(:second) AS state \gset
\connect - alice
CALL tap.start();
SELECT lives_ok('SELECT * FROM app.orders', 'the second scope adds its table');
SELECT lives_ok($$UPDATE app.orders SET status = 'x' WHERE id = 1$$, 'with every privilege of the template');
SELECT lives_ok('SELECT id FROM app.customers', 'the first is still there');
\connect - bob
SELECT jit_revoke(:id) AS state \gset
\connect - :owner
CALL tap.wait_for_cleanup();
\connect - alice
CALL tap.start();
SELECT lives_ok('SELECT * FROM app.orders', 'the second outlives the first');
SELECT tap.refused('SELECT id FROM app.customers', '42501', 'which has ended');

-- A table that was dropped before the decision cannot be given.
SELECT jit_request('debug_read', '1h', scope => ARRAY['app."Odd.name"']) AS gone \gset
SELECT jit_request('narrow_set_role', '1h', scope => '{app.customers}') AS by_role \gset
\connect - :owner
DROP TABLE app."Odd.name";
\connect - bob
CALL tap.start();
SELECT jit_approve(:gone);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'the scope of the request is out of date', 'a table that was dropped in between');
SELECT is(jit_deny(:gone, 'the table is gone'), 'denied', 'only denying is left');
SELECT jit_approve(:by_role) AS got \gset
SELECT is(:'got'::text, 'active', 'a scope of a set_role template');
\connect - alice
SELECT 'jit_grant_' || :'by_role' AS grant_role \gset
SET ROLE :grant_role;
SELECT count(*) AS customers FROM app.customers \gset
SELECT count(*) FROM app.orders;
\set orders :SQLSTATE
RESET ROLE;
CALL tap.start();
SELECT is(:customers || ' ' || :'orders', '2 42501', 'gives the role of the grant that table alone');

-- No user, not even a superuser, can pass on a privilege that depends on the grant: that would make a REVOKE fail.
\connect - :owner
CALL tap.start();
SELECT 'jit_grant_' || :'second' AS second_role \gset
SELECT tap.refused(format('GRANT SELECT ON app.orders TO %I WITH GRANT OPTION', :'second_role'),
    format('JA016 role "%s" cannot have a grant option: A user of the grant could pass its privileges on.', :'second_role'), 'a grant option for the role of a grant');

-- The access lists are as before when all grants have ended.
SELECT relacl AS acl FROM pg_class WHERE oid = 'app.orders'::regclass \gset
SELECT jit_revoke(:second) AS state, jit_revoke(:by_role) AS state_too \gset
CALL tap.wait_for_cleanup();
SELECT is((SELECT count(*)::int FROM pg_class c, aclexplode(c.relacl) a WHERE pg_get_userbyid(a.grantee) !~ '^[a-z]'), 0,
          'no access list names a role that is gone');
SELECT is((SELECT count(*)::int FROM pg_class c, aclexplode(c.relacl) a WHERE pg_get_userbyid(a.grantee) ~ '^jit_grant_'), 0,
          'nor the role of a grant');
SELECT isnt((SELECT relacl::text FROM pg_class WHERE oid = 'app.orders'::regclass), :'acl'::text, 'they did while it was live');
\i test/sql/include/clean.sql
DROP SCHEMA other CASCADE;
DROP ROLE app_reader;
