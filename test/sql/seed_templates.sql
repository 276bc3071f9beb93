\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- The three templates to start with: reading for debugging, writing in one schema, changing it in an emergency.
CREATE SCHEMA hr;
CREATE TABLE hr.salaries (id integer, amount integer);
GRANT USAGE ON SCHEMA hr TO PUBLIC;
\connect - ada
CALL tap.start();
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON ALL TABLES IN SCHEMA app}', requesters => '{developers}',
    approvers => '{leads}', max_duration => '8h', default_duration => '2h', description => 'read-only on the application') AS got \gset
SELECT is(:'got'::text, 'jit_template_debug_read', 'debug_read: read-only on one schema');
SELECT jit_create_template('debug_read_orders', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{developers}', approvers => '{leads}') AS got \gset
SELECT is(:'got'::text, 'jit_template_debug_read_orders', 'or on one table');
SELECT jit_create_template('migration_writer',
    '{USAGE ON SCHEMA app, "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app", "USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA app"}',
    requesters => '{developers}', approvers => '{leads}', max_duration => '4h', ticket_required => true) AS got \gset
SELECT is(:'got'::text, 'jit_template_migration_writer', 'migration_writer: writing in one schema');
SELECT jit_create_template('hotfix_admin',
    '{"USAGE, CREATE ON SCHEMA app", "SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES ON ALL TABLES IN SCHEMA app", "ALL ON ALL SEQUENCES IN SCHEMA app", "EXECUTE ON ALL FUNCTIONS IN SCHEMA app"}',
    requesters => '{developers}', approvers => '{leads}', max_duration => '1h', mode => 'set_role',
    allow_schema_change => true, reason_required => true, approvals_needed => 2) AS got \gset
SELECT is(:'got'::text, 'jit_template_hotfix_admin', 'hotfix_admin: changing the schema, by SET ROLE, with a reason and two approvals');

-- debug_read
\connect - alice
SELECT jit_request('debug_read', '2h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - alice
SELECT count(*) AS orders FROM app.orders \gset
CALL tap.start();
SELECT is(:orders, 3, 'debug_read reads');
SELECT tap.refused(statement, '42501', 'debug_read is refused: ' || statement)
FROM unnest(ARRAY['INSERT INTO app.orders VALUES (9)', 'UPDATE app.orders SET status = ''x''', 'DELETE FROM app.orders', 'TRUNCATE app.orders',
                  'SELECT * FROM app.orders FOR UPDATE', 'CREATE TABLE app.x ()', 'DROP TABLE app.orders', 'SELECT * FROM hr.salaries',
                  'SELECT nextval(''app.numbers'')', 'LOCK TABLE app.orders IN EXCLUSIVE MODE']) WITH ORDINALITY AS v (statement, n) ORDER BY n;
\connect - bob
SELECT jit_revoke(:id) AS state \gset
\connect - :owner
CALL tap.wait_for_cleanup();

-- migration_writer
\connect - alice
SELECT jit_request('migration_writer', '1h', ticket => 'MIG-1') AS id \gset
\connect - carol
SELECT jit_approve(:id) AS state \gset
\connect - alice
INSERT INTO app.orders SELECT nextval('app.numbers') + 100, 'migrated', NULL FROM generate_series(1, 3);
UPDATE app.orders SET card = NULL WHERE card IS NOT NULL;
DELETE FROM app.customers WHERE id = 2;
SELECT count(*) AS orders, count(card) AS cards FROM app.orders \gset
CALL tap.start();
SELECT is(:orders || ' ' || :cards, '6 0', 'migration_writer writes');
SELECT tap.refused(statement, '42501', 'migration_writer is refused: ' || statement)
FROM unnest(ARRAY['TRUNCATE app.orders', 'CREATE TABLE app.x ()', 'ALTER TABLE app.orders ADD x integer', 'DROP TABLE app.orders',
                  'INSERT INTO hr.salaries VALUES (1, 1)']) WITH ORDINALITY AS v (statement, n) ORDER BY n;
\connect - carol
SELECT jit_revoke(:id) AS state \gset
\connect - :owner
CALL tap.start();
CALL tap.wait_for_cleanup();
SELECT is((SELECT count(*)::int FROM app.orders WHERE status = 'migrated'), 3, 'the written rows stay');

-- hotfix_admin
\connect - alice
SELECT jit_request('hotfix_admin', '30 minutes', 'orders are stuck') AS id \gset
SELECT 'jit_grant_' || :'id' AS grant_role \gset
\connect - bob
SELECT jit_approve(:id) AS first \gset
\connect - carol
SELECT jit_approve(:id) AS second \gset
\connect - alice
CALL tap.start();
SELECT is(:'first' || ' ' || :'second', 'pending active', 'two approvals');
SELECT tap.refused('CREATE TABLE app.repair ()', '42501', 'hotfix_admin: nothing without SET ROLE');
SELECT tap.refused('SELECT * FROM app.orders', '42501', 'not even reading');
SET ROLE :grant_role;
CREATE TABLE app.repair (id serial PRIMARY KEY, order_id integer REFERENCES app.orders, note text);
CREATE INDEX repair_order ON app.repair (order_id);
CREATE TYPE app.severity AS ENUM ('low', 'high');
CREATE SEQUENCE app.repair_numbers;
CREATE TABLE app.repair_log AS SELECT id FROM app.orders;
INSERT INTO app.repair (order_id, note) SELECT id, 'stuck' FROM app.orders WHERE id <= 3;
SELECT app.next_status('x') AS status \gset
RESET ROLE;
\connect - :owner
CALL tap.start();
SELECT is(ARRAY(SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class WHERE relname LIKE 'repair%'), ARRAY[:'grant_role']::text[],
          'created objects belong to the role of the grant');
SELECT is((SELECT count(*)::int FROM app.repair), 3, 'and keep their rows');
SELECT ok(has_table_privilege('jit_template_debug_read', 'app.repair', 'SELECT'), 'templates that cover the schema cover it');
\connect - bob
SELECT jit_revoke(:id, 'fixed') AS state \gset
\connect - :owner
CALL tap.start();
CALL tap.wait_for_cleanup();
SELECT is((SELECT count(*)::int FROM pg_roles WHERE rolname = :'grant_role'), 0, 'at the end the role is gone');
SELECT is(ARRAY(SELECT format('%s %s', relname, pg_get_userbyid(relowner)) FROM pg_class WHERE relname LIKE 'repair%' AND relkind IN ('r', 'S') ORDER BY relname COLLATE "C"),
          '{"repair jit_template_hotfix_admin","repair_id_seq jit_template_hotfix_admin","repair_log jit_template_hotfix_admin","repair_numbers jit_template_hotfix_admin"}',
          'created objects belong to the role of the template');
SELECT is((SELECT pg_get_userbyid(typowner)::text FROM pg_type WHERE typname = 'severity'), 'jit_template_hotfix_admin', 'types, too');
SELECT is((SELECT count(*)::int FROM app.repair), 3, 'and nothing is lost');
\connect - alice
CALL tap.start();
SELECT tap.refused('SELECT * FROM app.repair', '42501', 'their creator has no access any more');
SELECT jit_request('hotfix_admin', '30 minutes', 'once more') AS id \gset
SELECT 'jit_grant_' || :'id' AS grant_role \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - carol
SELECT jit_approve(:id) AS state \gset
\connect - alice
SET ROLE :grant_role;
ALTER TABLE app.repair ADD COLUMN done boolean;
\set altered :SQLSTATE
RESET ROLE;
CALL tap.start();
SELECT is(:'state' || ' ' || :'altered', 'active 00000', 'the next grant of the template goes on with it');
\connect - ada
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_drop_template('hotfix_admin')$$), 'JA015 %', 'a live template is not withdrawn');
\connect - carol
SELECT jit_revoke(:id) AS state \gset
\connect - :owner
CALL tap.wait_for_cleanup();
CALL tap.start();
SELECT tap.refused($$SELECT jit_drop_template('hotfix_admin')$$,
    'JA008 role "jit_template_hotfix_admin" owns objects: Taking its privileges away would drop them.', 'nor one whose role owns created objects');
REASSIGN OWNED BY jit_template_hotfix_admin TO :"owner";
SELECT lives_ok($$SELECT jit_drop_template('hotfix_admin')$$, 'after they are given away, it can be dropped');
\i test/sql/include/clean.sql
DROP SCHEMA hr CASCADE;
