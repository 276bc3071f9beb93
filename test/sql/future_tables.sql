\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- ALL TABLES IN SCHEMA also covers tables created later, by any user and any command. It gives on them what the item says
-- and nothing else.
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON ALL TABLES IN SCHEMA app}', requesters => '{alice}',
                           approvers => '{bob}') AS role \gset
SELECT jit_create_template('writer', '{"USAGE ON SCHEMA app", "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app", "USAGE, SELECT ON ALL SEQUENCES IN SCHEMA app"}',
                           requesters => '{alice}', approvers => '{bob}') AS role \gset
SELECT jit_create_template('id_only', '{USAGE ON SCHEMA app, SELECT (id) ON ALL TABLES IN SCHEMA app}', requesters => '{alice}',
                           approvers => '{bob}') AS role \gset
SELECT jit_create_template('one_table', '{USAGE ON SCHEMA app, SELECT ON app.orders}') AS role \gset
CREATE SCHEMA other;
CREATE SCHEMA "Odd ""one""";
SELECT jit_create_template('odd', '{"USAGE ON SCHEMA \"Odd \"\"one\"\"\"", "SELECT ON ALL TABLES IN SCHEMA app, \"Odd \"\"one\"\"\""}') AS role \gset
GRANT CREATE, USAGE ON SCHEMA app, other TO dave;
\connect - alice
SELECT jit_request('debug_read', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset

-- An ordinary user creates them, without knowing of the extension.
\connect - dave
CREATE TABLE app.plain (id integer, secret text);
CREATE TABLE app.copied AS SELECT 1 AS id;
SELECT 1 AS id INTO app.selected;
CREATE VIEW app.viewed AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW app.stored AS SELECT 1 AS id;
CREATE TABLE app.parent (id integer) PARTITION BY RANGE (id);
CREATE TABLE app.part PARTITION OF app.parent FOR VALUES FROM (1) TO (10);
CREATE TABLE app."Quoted ""name""" (id integer);
CREATE TABLE other.moved (id integer);
ALTER TABLE other.moved SET SCHEMA app;
CREATE VIEW other.moved_view AS SELECT 1 AS id;
ALTER VIEW other.moved_view SET SCHEMA app;
CREATE MATERIALIZED VIEW other.moved_stored AS SELECT 1 AS id;
ALTER MATERIALIZED VIEW other.moved_stored SET SCHEMA app;
CREATE TABLE other.stays (id integer);
CREATE TEMPORARY TABLE temporary (id integer);
BEGIN;
CREATE TABLE app.rolled_back (id integer);
ROLLBACK;
DO $$ BEGIN EXECUTE 'CREATE TABLE app.in_a_block (id integer)'; END $$;
CREATE TABLE IF NOT EXISTS app.in_a_block (id integer);
CREATE TABLE app.with_serial (id serial);

\connect - :owner
CALL tap.start();
CREATE TABLE "Odd ""one""".later (id integer);
SELECT is(has_table_privilege('jit_template_debug_read', c.oid, 'SELECT') AND has_table_privilege('jit_template_writer', c.oid, 'DELETE')
          AND NOT has_table_privilege('jit_template_debug_read', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
          AND NOT has_table_privilege('jit_template_writer', c.oid, 'TRUNCATE, REFERENCES, TRIGGER')
          AND NOT has_any_column_privilege('jit_template_one_table', c.oid, 'SELECT'), true, c.relname::text)
FROM pg_class c WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
  AND relname NOT IN ('orders', 'customers') ORDER BY c.relname COLLATE "C";
SELECT is(has_column_privilege('jit_template_id_only', 'app.plain', 'id', 'SELECT'), true, 'a column that the item names');
SELECT is(has_column_privilege('jit_template_id_only', 'app.plain', 'secret', 'SELECT'), false, 'a column that it does not name');
SELECT is(has_table_privilege('jit_template_debug_read', 'other.stays', 'SELECT'), false, 'other schemas are not covered');
SELECT is(has_table_privilege('jit_template_odd', '"Odd ""one""".later', 'SELECT')
          AND has_table_privilege('jit_template_odd', 'app.plain', 'SELECT'), true, 'a list of schemas, with odd names');
SELECT is((SELECT count(*)::int FROM pg_default_acl), 0, 'default privileges of users are not touched');
SELECT is((SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = 'app.plain'::regclass), 'dave', 'the owner is the creator');
SELECT is((SELECT pg_get_userbyid(grantor)::text FROM pg_class, aclexplode(relacl) WHERE oid = 'app.plain'::regclass
           AND grantee = 'jit_template_debug_read'::regrole), 'dave', 'and so is the grantor');

-- A live grant reads them at once.
\connect - alice
SELECT count(*) AS seen FROM app.copied \gset
SELECT count(*) AS part FROM app.parent \gset
CALL tap.start();
SELECT is(:seen + :part, 1, 'a grant from before reads a table from after');
SELECT tap.refused('INSERT INTO app.plain VALUES (1)', '42501', 'with no more than the template gives');

-- A template that names one table instead of the schema covers no other table.
\connect - :owner
CALL tap.start();
SELECT jit_revoke(:id) AS state \gset
CALL tap.wait_for_cleanup();
SELECT jit_alter_template('debug_read', privileges => '{USAGE ON SCHEMA app, SELECT ON app.orders}') AS got \gset
SELECT is(:got, 2, 'one table instead of all');
CREATE TABLE app.after_change (id integer);
SELECT is(has_table_privilege('jit_template_debug_read', 'app.after_change', 'SELECT'), false, 'later tables are not covered any more');
SELECT is(has_table_privilege('jit_template_debug_read', 'app.plain', 'SELECT'), false, 'nor are the former ones');
SELECT lives_ok($$SELECT jit_drop_template('writer')$$, 'a template that covered many tables is withdrawn');
CREATE TABLE app.after_drop (id integer);
SELECT is_empty($$SELECT 1 FROM pg_roles WHERE rolname = 'jit_template_writer'$$, 'with its role');
DROP OWNED BY dave;
\i test/sql/include/clean.sql
DROP SCHEMA other, "Odd ""one""" CASCADE;
