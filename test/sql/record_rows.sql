\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- The rows on the record for each kind of statement: docs/record.md has a row for each. Each kind has an
-- application_name of its own, and its rows are given as "depth tag object:privileges rows outcome".
CREATE TABLE app.log (id integer);
CREATE SCHEMA hidden;
GRANT USAGE ON SCHEMA hidden TO PUBLIC;
CREATE TABLE hidden.orders (id integer);
CREATE TABLE app.keys (id integer PRIMARY KEY REFERENCES app.orders ON DELETE CASCADE);
CREATE TABLE app.parts (id integer) PARTITION BY RANGE (id);
CREATE TABLE app.part_1 PARTITION OF app.parts FOR VALUES FROM (0) TO (10);
CREATE TABLE app.part_2 PARTITION OF app.parts FOR VALUES FROM (10) TO (20);
INSERT INTO app.parts VALUES (1), (11);
SELECT format('CREATE TABLE app.part_%s PARTITION OF app.parts FOR VALUES FROM (%s) TO (%s)', p, 10 * p, 10 * p + 10) FROM generate_series(3, 72) p \gexec
CREATE TABLE app.parent (id integer);
CREATE TABLE app.child () INHERITS (app.parent);
INSERT INTO app.child VALUES (1);
CREATE TABLE app.many AS SELECT id FROM generate_series(1, 1000) id;
CREATE TABLE app.traced (id integer);
CREATE TABLE app.numbered (id integer DEFAULT nextval('app.numbers'), name text);
CREATE TABLE app.counted (id integer GENERATED ALWAYS AS IDENTITY, name text);
CREATE TABLE app.guarded (id integer);
INSERT INTO app.guarded VALUES (1), (2);
ALTER TABLE app.guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY first ON app.guarded USING (id IN (SELECT o.id FROM app.orders o WHERE o.id = 1));
CREATE SCHEMA closed;
CREATE TABLE closed.orders (id integer);
CREATE VIEW app.seen AS SELECT o.id, c.name FROM app.orders o JOIN app.customers c USING (id);
CREATE VIEW app.seen_again AS SELECT id FROM app.seen;
CREATE MATERIALIZED VIEW app.totals AS SELECT count(*) AS orders FROM app.orders;
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE app.far (line text) SERVER files OPTIONS (program 'echo far');
CREATE FUNCTION app.by_sql() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.orders';
CREATE FUNCTION app.by_plpgsql(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint; BEGIN EXECUTE format('SELECT count(*) FROM app.%I', name) INTO n; RETURN n + app.by_sql(); END $$;
CREATE FUNCTION app.in_worker() RETURNS bigint LANGUAGE plpgsql PARALLEL SAFE AS $$
DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM app.customers' INTO n; RETURN n + app.by_sql(); END $$;
ALTER FUNCTION app.by_sql() PARALLEL SAFE;
CREATE FUNCTION app.constant() RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT count(*) FROM app.customers); END $$;
CREATE FUNCTION app.by_owner() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM app.customers';
CREATE PROCEDURE app.batch() LANGUAGE plpgsql AS $$
BEGIN INSERT INTO app.log VALUES (1); COMMIT; INSERT INTO app.log VALUES (2); ROLLBACK; DELETE FROM app.log; END $$;
CREATE FUNCTION app.trace() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.log VALUES (NEW.id); RETURN NEW; END $$;
CREATE TRIGGER before_all BEFORE INSERT ON app.traced FOR EACH ROW EXECUTE FUNCTION app.trace();
CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON app.traced DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.trace();
CREATE FUNCTION tap.plan(query text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE plan json; BEGIN EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan; RETURN plan; END $$;
SELECT jit_create_template('recorded', '{USAGE ON SCHEMA app, "SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA app",
                           "USAGE, SELECT ON SEQUENCE app.numbers"}', requesters => '{alice}', approvers => '{bob}') AS role \gset
SELECT jit_create_template('recorded_ddl', '{"USAGE, CREATE ON SCHEMA app", "SELECT, INSERT, UPDATE, DELETE, REFERENCES ON app.orders"}', requesters => '{dave}',
                           approvers => '{bob}', mode => 'set_role', allow_schema_change => true, allow_code => true) AS role \gset
CREATE MATERIALIZED VIEW app.kept AS SELECT id FROM app.orders;
ALTER MATERIALIZED VIEW app.kept OWNER TO jit_template_recorded_ddl;

\connect - alice
SELECT jit_request('recorded', '1h') AS work \gset
\connect - dave
SELECT jit_request('recorded_ddl', '1h') AS fix \gset
\connect - bob
SELECT jit_approve(:work) AS state, jit_approve(:fix) AS fix_state \gset

-- ---- rows -----------------------------------------------------------------------------------------------------------
\connect - alice
\o /dev/null
SET application_name = 'select';
SELECT o.id FROM app.orders o, app.customers c WHERE o.id = c.id FOR UPDATE OF o;
SELECT id FROM app.orders WHERE false;
SET application_name = 'insert';
INSERT INTO app.orders VALUES (4, 'new', NULL), (5, 'new', NULL);
INSERT INTO app.orders SELECT id, name FROM app.customers ON CONFLICT (id) DO UPDATE SET status = 'twice';
SET application_name = 'update';
UPDATE app.orders SET status = 'seen' WHERE id > 3;
UPDATE app.orders o SET status = c.name FROM app.customers c WHERE c.id = o.id;
SET application_name = 'delete';
DELETE FROM app.orders WHERE id = 5;
DELETE FROM app.log;
SET application_name = 'merge';
MERGE INTO app.orders o USING app.customers c ON c.id + 2 = o.id WHEN MATCHED THEN UPDATE SET card = c.name
    WHEN NOT MATCHED THEN INSERT VALUES (c.id + 10);
SET application_name = 'writable cte';
WITH gone AS (DELETE FROM app.orders WHERE id = 4 RETURNING id) INSERT INTO app.log SELECT id FROM gone;
SET application_name = 'returning';
INSERT INTO app.log VALUES (7), (8) RETURNING id;
SET application_name = 'several privileges';
WITH a AS (INSERT INTO app.log VALUES (1)), b AS (UPDATE app.log SET id = 2 WHERE false), c AS (DELETE FROM app.log WHERE false) SELECT 1 FROM app.log LIMIT 1;

-- ---- cursors, prepared statements, COPY -----------------------------------------------------------------------------
SET application_name = 'cursor';
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM app.orders WHERE id <= 3;
FETCH 2 FROM c;
MOVE ALL IN c;
CLOSE c;
COMMIT;
SET application_name = 'held cursor';
DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT id FROM app.orders WHERE id <= 3;
FETCH 2 FROM c;
FETCH ALL FROM c;
CLOSE c;
SET application_name = 'cursor rolled back';
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM app.orders WHERE id <= 3;
FETCH 1 FROM c;
ROLLBACK;
SET application_name = 'prepare';
PREPARE p (integer) AS SELECT card FROM app.orders WHERE id = $1;
EXECUTE p (1);
EXECUTE p (2);
DEALLOCATE p;
SET application_name = 'copy out';
COPY app.customers TO STDOUT;
COPY app.customers (name) TO STDOUT;
COPY (SELECT name FROM app.seen) TO STDOUT;
SET application_name = 'copy out with row security';
COPY app.guarded TO STDOUT;
SET application_name = 'copy in';
COPY app.log (id) FROM STDIN;
1
2
\.

-- ---- code -----------------------------------------------------------------------------------------------------------
SET application_name = 'do';
DO $$ BEGIN PERFORM id FROM app.orders; BEGIN PERFORM id FROM hidden.orders; EXCEPTION WHEN OTHERS THEN NULL; END; END $$;
SET application_name = 'denied and caught';
DO $$ BEGIN PERFORM id FROM closed.orders; EXCEPTION WHEN insufficient_privilege THEN NULL; END $$;
SET application_name = 'functions';
SELECT app.by_plpgsql('customers');
SET application_name = 'evaluated by the planner';
SELECT app.constant();
SET application_name = 'security definer';
SELECT app.by_owner();
SET application_name = 'call';
CALL app.batch();
SET application_name = 'trigger';
INSERT INTO app.traced VALUES (1), (2);
SET application_name = 'deferred trigger';
BEGIN;
UPDATE app.traced SET id = 3 WHERE id = 1;
COMMIT;
SET application_name = 'cascade';
INSERT INTO app.keys VALUES (3);
DELETE FROM app.orders WHERE id = 3;

-- ---- what stands for other relations --------------------------------------------------------------------------------
SET application_name = 'view';
SELECT id FROM app.seen_again;
SET application_name = 'materialised view';
SELECT orders FROM app.totals;
SET application_name = 'partitions';
SELECT id FROM app.parts;
UPDATE app.parts SET id = 12 WHERE id = 1;
SELECT id FROM app.part_1;
SET application_name = 'inheritance';
SELECT id FROM app.parent;
SET application_name = 'foreign table';
SELECT line FROM app.far;
SET application_name = 'parallel';
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT sum(id) FROM app.many;
SET application_name = 'no matter';
\o
SELECT tap.plan('SELECT sum(id) FROM app.many')::text LIKE '%"Gather"%' AS is_parallel \gset
\o /dev/null
SELECT set_config(name, 'on', false) FROM unnest('{force_parallel_mode,debug_parallel_query}'::text[]) name WHERE current_setting(name, true) IS NOT NULL;
SET application_name = 'functions in a parallel worker';
SELECT app.in_worker();
SET application_name = 'no matter';
SELECT set_config(name, 'off', false) FROM unnest('{force_parallel_mode,debug_parallel_query}'::text[]) name WHERE current_setting(name, true) IS NOT NULL;
SELECT pg_backend_pid() AS pid \gset
SET application_name = 'explain';
EXPLAIN SELECT id FROM app.seen;
EXPLAIN UPDATE app.orders SET card = '' WHERE id IN (SELECT id FROM app.customers);
EXPLAIN DECLARE c CURSOR FOR SELECT id FROM app.log;
SET application_name = 'explain analyze';
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT id FROM app.log;

-- ---- commands -------------------------------------------------------------------------------------------------------
SET application_name = 'truncate';
TRUNCATE app.log, app.traced;
TRUNCATE app.orders CASCADE;
SET application_name = 'lock';
BEGIN;
LOCK TABLE app.orders, ONLY app.parent IN SHARE MODE;
LOCK app.seen_again IN ACCESS SHARE MODE;
ROLLBACK;
SET application_name = 'ctas';
CREATE TEMPORARY TABLE mine AS SELECT id, name FROM app.customers;
SELECT id INTO TEMPORARY mine_too FROM mine;
SET application_name = 'sequence';
SELECT nextval('app.numbers'), currval('app.numbers');
SELECT last_value FROM app.numbers;
INSERT INTO app.numbered (name) VALUES ('x');
INSERT INTO app.counted (name) VALUES ('x');
SELECT nextval(('app.' || 'numbers')::regclass), nextval(('app.' || name)::regclass) FROM (VALUES ('numbers')) v (name);
SELECT nextval(('app.' || name)::regclass) FROM (VALUES ('numbers'), ('numbers') OFFSET 0) v (name);
SET application_name = 'large object';
SELECT lo_from_bytea(0, 'x') AS lo \gset
SELECT lo_get(:lo), lo_unlink(:lo);
SET application_name = 'more than fits';
SELECT format('SELECT 1 FROM %s', string_agg(format('app.part_%s', p), ', ')) AS statement FROM generate_series(3, 72) p \gset
:statement;
SET application_name = 'set role';
SELECT 'jit_grant_' || :'work' AS grant_role \gset
SET ROLE :grant_role;
SELECT count(*) FROM app.customers;
RESET ROLE;
SET application_name = 'read only';
BEGIN READ ONLY;
SELECT id FROM app.customers;
INSERT INTO app.log VALUES (1);
ROLLBACK;
SET application_name = 'savepoint';
BEGIN;
SAVEPOINT s;
INSERT INTO app.log VALUES (1);
ROLLBACK TO s;
COMMIT;
SET application_name = 'refused';
GRANT SELECT ON app.orders TO carol;
CREATE FOREIGN TABLE app.mine (id integer) SERVER s;
SET application_name = 'names';
COPY app.nothing TO STDOUT;
COPY nowhere.nothing TO STDOUT;
LOCK TABLE elsewhere.app.orders;
LOCK TABLE "App"."Odd ""name""";
DROP TABLE IF EXISTS app.nothing, app.orders;
SET search_path = app;
TRUNCATE log;
SELECT format('TRUNCATE %I.app.log', current_database()) AS statement \gset
:statement;
SET application_name = 'catalogs';
SELECT count(*) FROM pg_class;
\o

\connect - :owner
INSERT INTO app.orders VALUES (1, 'new', NULL), (2, 'new', NULL);
-- ---- what needs ownership -------------------------------------------------------------------------------------------
\connect - dave
SELECT 'jit_grant_' || :'fix' AS grant_role \gset
\o /dev/null
SET application_name = 'cursor of a role that was left';
SET ROLE :grant_role;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM app.orders ORDER BY id;
RESET ROLE;
FETCH 1 FROM c;
FETCH ALL FROM c;
COMMIT;
BEGIN;
SET LOCAL ROLE :grant_role;
DECLARE c CURSOR FOR SELECT 1 / (id - 2) FROM app.orders ORDER BY id;
RESET ROLE;
FETCH ALL FROM c;
ROLLBACK;
SET application_name = 'set role, privileges by role';
SET ROLE :grant_role;
SELECT count(*) FROM app.orders;
RESET ROLE;
SET ROLE :grant_role;
SET search_path = app;
SET application_name = 'create table';
CREATE TABLE app.made (number integer PRIMARY KEY REFERENCES app.orders, LIKE app.orders);
CREATE TABLE made_too (id integer, FOREIGN KEY (id) REFERENCES made, CHECK (id > 0));
CREATE TABLE app.heir () INHERITS (app.made_too);
CREATE TEMPORARY TABLE short (id integer);
SET application_name = 'alter table';
ALTER TABLE app.made ADD COLUMN more integer REFERENCES app.orders;
ALTER TABLE app.heir NO INHERIT app.made_too;
ALTER TABLE app.heir RENAME TO heir_2;
ALTER TABLE app.heir_2 RENAME COLUMN id TO number;
ALTER TABLE app.customers ADD COLUMN more integer;
SET application_name = 'create index';
CREATE INDEX made_more ON app.made (more);
CREATE STATISTICS app.made_stats ON id, more FROM app.made;
SET application_name = 'comment';
COMMENT ON TABLE app.made IS 'made';
COMMENT ON COLUMN app.made.more IS 'more';
COMMENT ON INDEX app.made_more IS 'index';
COMMENT ON CONSTRAINT made_pkey ON app.made IS 'key';
COMMENT ON SCHEMA app IS 'not a relation';
SET application_name = 'vacuum';
VACUUM app.made;
VACUUM (ANALYZE) app.made, app.made_too;
ANALYZE app.made (more);
CLUSTER app.made USING made_pkey;
REINDEX TABLE app.made;
REINDEX INDEX app.made_more;
SET application_name = 'create sequence';
CREATE SEQUENCE app.steps;
ALTER SEQUENCE app.steps RESTART 7;
SELECT setval('app.steps', 9);
SET application_name = 'create view';
CREATE VIEW app.made_view AS SELECT id FROM app.made;
CREATE MATERIALIZED VIEW app.made_matview AS SELECT id FROM app.orders;
SET application_name = 'refresh';
REFRESH MATERIALIZED VIEW app.made_matview;
REFRESH MATERIALIZED VIEW app.kept;
SET application_name = 'create trigger';
CREATE FUNCTION app.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER t AFTER INSERT ON app.made EXECUTE FUNCTION app.nothing();
CREATE POLICY p ON app.made;
CREATE RULE r AS ON INSERT TO app.made_too DO INSTEAD NOTHING;
SET application_name = 'drop';
DROP TRIGGER t ON app.made;
DROP POLICY p ON app.made;
DROP INDEX app.made_more;
DROP MATERIALIZED VIEW app.made_matview;
DROP VIEW app.made_view;
DROP SEQUENCE app.steps;
DROP FUNCTION app.nothing();
DROP TABLE app.made, app.made_too, heir_2 CASCADE;
\o

\connect - :owner
CALL tap.start();
CALL tap.wait_for_record();
\connect - olga
CALL tap.start();
CREATE FUNCTION pg_temp.recorded(item text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', depth, CASE kind WHEN 'use' THEN tag ELSE kind || ' of ' || tag END,
        (SELECT string_agg(regexp_replace(object, '^pg_temp_\d+', 'pg_temp') || ':' || used, ' ' ORDER BY object) FROM unnest(objects, privileges) u (object, used)),
        rows, outcome)
    FROM jit_access.audit_log WHERE application = item AND kind IN ('use', 'refusal') AND statement NOT LIKE 'SET application_name%' ORDER BY seq
$$;
CREATE TEMPORARY TABLE expected (n integer GENERATED ALWAYS AS IDENTITY, item text, row text);
INSERT INTO expected (item, row) VALUES
    ('select', '0 SELECT FOR UPDATE app.customers:SELECT app.orders:SELECT,UPDATE 2 completed'),
    ('select', '0 SELECT app.orders:SELECT 0 completed'),
    ('insert', '0 INSERT app.orders:INSERT 2 completed'),
    ('insert', '0 INSERT app.customers:SELECT app.orders:SELECT,INSERT,UPDATE 2 completed'),
    ('update', '0 UPDATE app.orders:SELECT,UPDATE 2 completed'),
    ('update', '0 UPDATE app.customers:SELECT app.orders:SELECT,UPDATE 2 completed'),
    ('delete', '0 DELETE app.orders:SELECT,DELETE 1 completed'),
    ('delete', '0 DELETE app.log:DELETE 0 completed'),
    ('merge', '0 MERGE app.customers:SELECT app.orders:SELECT,INSERT,UPDATE 2 completed'),
    ('writable cte', '0 INSERT app.log:INSERT app.orders:SELECT,DELETE 1 completed'),
    ('returning', '0 INSERT app.log:SELECT,INSERT 2 completed'),
    ('several privileges', '0 SELECT app.log:SELECT,INSERT,UPDATE,DELETE 1 completed'),
    ('cursor', '0 BEGIN 0 completed'),
    ('cursor', '0 DECLARE CURSOR 0 completed'),
    ('cursor', '1 SELECT app.orders:SELECT 3 completed'),
    ('cursor', '0 FETCH 2 completed'),
    ('cursor', '0 MOVE 1 completed'),
    ('cursor', '0 CLOSE CURSOR 0 completed'),
    ('cursor', '0 COMMIT 0 completed'),
    ('held cursor', '0 DECLARE CURSOR 0 completed'),
    ('held cursor', '1 SELECT app.orders:SELECT 3 completed'),
    ('held cursor', '0 FETCH 2 completed'),
    ('held cursor', '0 FETCH 1 completed'),
    ('held cursor', '0 CLOSE CURSOR 0 completed'),
    ('cursor rolled back', '0 BEGIN 0 completed'),
    ('cursor rolled back', '0 DECLARE CURSOR 0 completed'),
    ('cursor rolled back', '1 SELECT app.orders:SELECT 1 interrupted'),
    ('cursor rolled back', '0 FETCH 1 completed'),
    ('cursor rolled back', '0 ROLLBACK 0 completed'),
    ('prepare', '0 PREPARE 0 completed'),
    ('prepare', '0 EXECUTE 1 completed'),
    ('prepare', '1 SELECT app.orders:SELECT 1 completed'),
    ('prepare', '0 EXECUTE 1 completed'),
    ('prepare', '1 SELECT app.orders:SELECT 1 completed'),
    ('prepare', '0 DEALLOCATE 0 completed'),
    ('copy out', '0 COPY app.customers:SELECT 2 completed'),
    ('copy out', '0 COPY app.customers:SELECT 2 completed'),
    ('copy out', '0 COPY 2 completed'),
    ('copy out', '1 SELECT app.customers:SELECT app.orders:SELECT app.seen:SELECT 2 completed'),
    ('copy out with row security', '0 COPY app.guarded:SELECT 1 completed'),
    ('copy out with row security', '1 SELECT app.guarded:SELECT app.orders:SELECT 1 completed'),
    ('copy in', '0 COPY app.log:INSERT 2 completed'),
    ('do', '0 DO 0 completed'),
    ('do', '1 SELECT app.orders:SELECT 3 completed'),
    ('do', '1 SELECT hidden.orders:SELECT 0 failed'),
    ('denied and caught', '0 DO 0 completed'),
    ('functions', '0 SELECT 1 completed'),
    ('functions', '1 SELECT app.customers:SELECT 1 completed'),
    ('functions', '1 SELECT app.orders:SELECT 1 completed'),
    ('evaluated by the planner', '1 SELECT app.customers:SELECT 1 completed'),
    ('evaluated by the planner', '0 SELECT 1 completed'),
    ('security definer', '0 SELECT 1 completed'),
    ('call', '0 CALL app.batch():EXECUTE 0 completed'),
    ('call', '1 INSERT app.log:INSERT 1 completed'),
    ('call', '1 INSERT app.log:INSERT 1 completed'),
    ('call', '1 DELETE app.log:DELETE 7 completed'),
    ('trigger', '0 INSERT app.traced:INSERT 2 completed'),
    ('trigger', '1 INSERT app.log:INSERT 1 completed'),
    ('trigger', '1 INSERT app.log:INSERT 1 completed'),
    ('deferred trigger', '0 BEGIN 0 completed'),
    ('deferred trigger', '0 UPDATE app.traced:SELECT,UPDATE 1 completed'),
    ('deferred trigger', '0 COMMIT 0 completed'),
    ('deferred trigger', '1 INSERT app.log:INSERT 1 completed'),
    ('cascade', '0 INSERT app.keys:INSERT 1 completed'),
    ('cascade', '0 DELETE app.orders:SELECT,DELETE 1 completed'),
    ('view', '0 SELECT app.customers:SELECT app.orders:SELECT app.seen:SELECT app.seen_again:SELECT 2 completed'),
    ('materialised view', '0 SELECT app.totals:SELECT 1 completed'),
    ('partitions', '0 SELECT app.parts:SELECT 2 completed'),
    ('partitions', '0 UPDATE app.parts:SELECT,UPDATE 1 completed'),
    ('partitions', '0 SELECT app.part_1:SELECT 0 completed'),
    ('inheritance', '0 SELECT app.parent:SELECT 1 completed'),
    ('foreign table', '0 SELECT app.far:SELECT 1 completed'),
    ('parallel', '0 SET 0 completed'),
    ('parallel', '0 SET 0 completed'),
    ('parallel', '0 SET 0 completed'),
    ('parallel', '0 SELECT app.many:SELECT 1 completed'),
    ('functions in a parallel worker', '0 SELECT 1 completed'),
    ('functions in a parallel worker', '1 SELECT app.customers:SELECT 1 completed'),
    ('functions in a parallel worker', '1 SELECT app.orders:SELECT 1 completed'),
    ('explain', '0 EXPLAIN app.customers:SELECT app.orders:SELECT app.seen:SELECT 0 completed'),
    ('explain', '0 EXPLAIN app.customers:SELECT app.orders:SELECT,UPDATE 0 completed'),
    ('explain', '0 EXPLAIN app.log:SELECT 0 completed'),
    ('explain analyze', '0 EXPLAIN app.log:SELECT 0 completed'),
    ('explain analyze', '1 SELECT app.log:SELECT 3 completed'),
    ('truncate', '0 TRUNCATE TABLE app.log:TRUNCATE app.traced:TRUNCATE 0 completed'),
    ('truncate', '0 TRUNCATE TABLE app.keys:TRUNCATE app.orders:TRUNCATE 0 completed'),
    ('lock', '0 BEGIN 0 completed'),
    ('lock', '0 LOCK TABLE app.orders:LOCK app.parent:LOCK 0 completed'),
    ('lock', '0 LOCK TABLE app.customers:LOCK app.orders:LOCK app.seen:LOCK app.seen_again:LOCK 0 completed'),
    ('lock', '0 ROLLBACK 0 completed'),
    ('ctas', '0 CREATE TABLE AS pg_temp.mine:CREATE 2 completed'),
    ('ctas', '1 SELECT app.customers:SELECT 2 completed'),
    ('ctas', '0 SELECT INTO pg_temp.mine_too:CREATE 2 completed'),
    ('ctas', '1 SELECT pg_temp.mine:SELECT 2 completed'),
    ('sequence', '0 SELECT app.numbers:USAGE 1 completed'),
    ('sequence', '0 SELECT app.numbers:SELECT 1 completed'),
    ('sequence', '0 INSERT app.numbered:INSERT app.numbers:USAGE 1 completed'),
    ('sequence', '0 INSERT app.counted:INSERT 1 completed'),
    ('sequence', '0 SELECT 1 completed'),
    ('sequence', '0 SELECT 2 completed'),
    ('large object', '0 SELECT 1 completed'),
    ('large object', '0 SELECT 1 completed'),
    ('set role', '0 SELECT 1 completed'),
    ('set role', '0 SET 0 completed'),
    ('set role', '0 SELECT app.customers:SELECT 1 completed'),
    ('set role', '0 RESET 0 completed'),
    ('read only', '0 BEGIN 0 completed'),
    ('read only', '0 SELECT app.customers:SELECT 2 completed'),
    ('read only', '0 INSERT app.log:INSERT 0 failed'),
    ('read only', '0 ROLLBACK 0 completed'),
    ('savepoint', '0 BEGIN 0 completed'),
    ('savepoint', '0 SAVEPOINT 0 completed'),
    ('savepoint', '0 INSERT app.log:INSERT 1 completed'),
    ('savepoint', '0 ROLLBACK 0 completed'),
    ('savepoint', '0 COMMIT 0 completed'),
    ('refused', '0 refusal of GRANT app.orders:OWNER refused'),
    ('refused', '0 refusal of CREATE FOREIGN TABLE app.mine:CREATE refused'),
    ('names', '0 COPY app.nothing:SELECT 0 failed'),
    ('names', '0 COPY nowhere.nothing:SELECT 0 failed'),
    ('names', '0 LOCK TABLE elsewhere.app.orders:LOCK 0 failed'),
    ('names', '0 LOCK TABLE "App"."Odd ""name""":LOCK 0 failed'),
    ('names', '0 DROP TABLE app.nothing:OWNER app.orders:OWNER 0 failed'),
    ('names', '0 SET 0 completed'),
    ('names', '0 TRUNCATE TABLE app.log:TRUNCATE 0 completed'),
    ('names', '0 SELECT 1 completed'),
    ('names', '0 TRUNCATE TABLE app.log:TRUNCATE 0 completed'),
    ('catalogs', '0 SELECT pg_catalog.pg_class:SELECT 1 completed'),
    ('cursor of a role that was left', '0 BEGIN 0 completed'),
    ('cursor of a role that was left', '0 DECLARE CURSOR 0 completed'),
    ('cursor of a role that was left', '1 SELECT app.orders:SELECT 2 completed'),
    ('cursor of a role that was left', '0 RESET 0 completed'),
    ('cursor of a role that was left', '0 DECLARE CURSOR 0 completed'),
    ('cursor of a role that was left', '1 SELECT app.orders:SELECT 0 failed'),
    ('cursor of a role that was left', '0 RESET 0 completed'),
    ('set role, privileges by role', '0 SELECT app.orders:SELECT 1 completed'),
    ('set role, privileges by role', '0 RESET 0 completed'),
    ('set role, privileges by role', '0 SET 0 completed'),
    ('create table', '0 CREATE TABLE app.made:CREATE app.orders:SELECT,REFERENCES 0 completed'),
    ('create table', '0 CREATE TABLE app.made:REFERENCES app.made_too:CREATE 0 completed'),
    ('create table', '0 CREATE TABLE app.heir:CREATE app.made_too:OWNER 0 completed'),
    ('create table', '0 CREATE TABLE pg_temp.short:CREATE 0 completed'),
    ('alter table', '0 ALTER TABLE app.made:OWNER app.orders:REFERENCES 0 completed'),
    ('alter table', '0 ALTER TABLE app.heir:OWNER app.made_too:OWNER 0 completed'),
    ('alter table', '0 ALTER TABLE app.heir:OWNER 0 completed'),
    ('alter table', '0 ALTER TABLE app.heir_2:OWNER 0 completed'),
    ('alter table', '0 ALTER TABLE app.customers:OWNER 0 failed'),
    ('create index', '0 CREATE INDEX app.made:OWNER 0 completed'),
    ('create index', '0 CREATE STATISTICS app.made:OWNER 0 completed'),
    ('comment', '0 COMMENT app.made:OWNER 0 completed'),
    ('comment', '0 COMMENT app.made:OWNER 0 completed'),
    ('comment', '0 COMMENT app.made_more:OWNER 0 completed'),
    ('comment', '0 COMMENT app.made:OWNER 0 completed'),
    ('comment', '0 COMMENT 0 failed'),
    ('vacuum', '0 VACUUM app.made:MAINTAIN 0 completed'),
    ('vacuum', '0 VACUUM app.made:MAINTAIN app.made_too:MAINTAIN 0 completed'),
    ('vacuum', '0 ANALYZE app.made:MAINTAIN 0 completed'),
    ('vacuum', '0 CLUSTER app.made:MAINTAIN 0 completed'),
    ('vacuum', '0 REINDEX app.made:MAINTAIN 0 completed'),
    ('vacuum', '0 REINDEX app.made_more:MAINTAIN 0 completed'),
    ('create sequence', '0 CREATE SEQUENCE app.steps:CREATE 0 completed'),
    ('create sequence', '0 ALTER SEQUENCE app.steps:OWNER 0 completed'),
    ('create sequence', '0 SELECT app.steps:USAGE 1 completed'),
    ('create view', '0 CREATE VIEW app.made_view:CREATE 0 completed'),
    ('create view', '0 CREATE MATERIALIZED VIEW app.made_matview:CREATE 2 completed'),
    ('create view', '1 SELECT app.orders:SELECT 2 completed'),
    ('refresh', '0 REFRESH MATERIALIZED VIEW app.made_matview:MAINTAIN app.orders:SELECT 2 completed'),
    ('refresh', '1 SELECT app.orders:SELECT 2 completed'),
    ('refresh', '0 REFRESH MATERIALIZED VIEW app.kept:MAINTAIN app.orders:SELECT 2 completed'),
    ('create trigger', '0 CREATE FUNCTION 0 completed'),
    ('create trigger', '0 CREATE TRIGGER app.made:TRIGGER 0 completed'),
    ('create trigger', '0 CREATE POLICY app.made:OWNER 0 completed'),
    ('create trigger', '0 CREATE RULE app.made_too:OWNER 0 completed'),
    ('drop', '0 DROP TRIGGER app.made:OWNER 0 completed'),
    ('drop', '0 DROP POLICY app.made:OWNER 0 completed'),
    ('drop', '0 DROP INDEX app.made_more:OWNER 0 completed'),
    ('drop', '0 DROP MATERIALIZED VIEW app.made_matview:OWNER 0 completed'),
    ('drop', '0 DROP VIEW app.made_view:OWNER 0 completed'),
    ('drop', '0 DROP SEQUENCE app.steps:OWNER 0 completed'),
    ('drop', '0 DROP FUNCTION 0 completed'),
    ('drop', '0 DROP TABLE app.heir_2:OWNER app.made:OWNER app.made_too:OWNER 0 completed');
SELECT is(ARRAY(SELECT pg_temp.recorded(item)), array_agg(row ORDER BY n), item) FROM expected GROUP BY item ORDER BY min(n);
SELECT results_eq($$SELECT cardinality(objects), detail FROM jit_access.audit_log WHERE application = 'more than fits' AND objects <> '{}'$$,
                  $$VALUES (64, '{"objects": 70}'::jsonb)$$, 'more than fits');
SELECT ok(:'is_parallel', 'the parallel query was one');
SELECT results_eq(format($$SELECT DISTINCT login COLLATE "default", grant_id, pid, session_start = (SELECT session_start FROM jit_access.audit_log WHERE application = 'select' LIMIT 1)
                           FROM jit_access.audit_log WHERE application = 'functions in a parallel worker'$$),
                  format($$VALUES ('alice', %s::bigint, %s, true)$$, :work, :pid), 'a parallel worker is part of its session');
SELECT is(ARRAY(SELECT DISTINCT login || ' as ' || role FROM jit_access.audit_log WHERE application = 'set role, privileges by role' AND tag = 'SELECT'),
          ARRAY['dave as ' || :'grant_role'], 'login and role');
SELECT is((SELECT count(*) FROM jit_access.audit_log WHERE application IN (SELECT item FROM expected) AND kind = 'use' AND outcome IS NULL), 0::bigint,
          'every use has its outcome');
\connect - :owner
DROP MATERIALIZED VIEW app.kept;
DROP EXTENSION file_fdw CASCADE;
DROP FUNCTION tap.plan(text);
DROP SCHEMA hidden, closed CASCADE;
\i test/sql/include/clean.sql
