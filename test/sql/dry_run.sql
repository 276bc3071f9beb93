\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Dry runs: the outcome of statements, who may ask for it, and that a dry run leaves nothing behind.
CREATE SCHEMA hr;
CREATE TABLE hr.salaries (id integer, amount integer);
INSERT INTO hr.salaries VALUES (1, 4200);
CREATE TABLE hr.mine (id integer);
GRANT USAGE ON SCHEMA hr TO alice;
GRANT SELECT ON hr.mine TO alice;
CREATE TABLE app.log (id serial PRIMARY KEY, note text);
CREATE VIEW app.cards AS SELECT card FROM app.orders;
CREATE TABLE app.people (id integer, name text, salary integer);
ALTER TABLE app.customers ENABLE ROW LEVEL SECURITY;
CREATE TABLE app.allowed (customer integer);
CREATE POLICY known ON app.customers USING (id IN (SELECT customer FROM app.allowed));
CREATE FUNCTION app.spy() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'seen %', (SELECT max(card) FROM app.orders); END $$;
CREATE DOMAIN app.trap AS text CHECK (app.spy() > 0);
CREATE TYPE app.trapped AS (t app.trap);
CREATE FUNCTION app.count_orders() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM app.orders $$;
CREATE FUNCTION app.deep(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF n > 0 THEN
        BEGIN
            RETURN app.deep(n - 1);
        EXCEPTION WHEN division_by_zero THEN RAISE;
        END;
    END IF;
    INSERT INTO app.log (note) VALUES ('deep');
    RETURN 1 / n;
END $$;
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, "SELECT ON app.orders, app.cards, app.customers", "SELECT (id, name) ON app.people"}',
    requesters => '{developers}', approvers => '{leads}') AS role \gset
SELECT jit_create_template('writer', '{USAGE ON SCHEMA app, "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app", "USAGE ON ALL SEQUENCES IN SCHEMA app"}',
    requesters => '{developers}', approvers => '{leads}') AS role \gset
SELECT jit_create_template('fix', '{"USAGE, CREATE ON SCHEMA app", "SELECT, INSERT ON ALL TABLES IN SCHEMA app", "USAGE ON ALL SEQUENCES IN SCHEMA app"}',
    requesters => '{developers}', approvers => '{leads}', mode => 'set_role', allow_schema_change => true) AS role \gset
-- Everything that a dry run could leave behind: roles, memberships, access lists, data, settings.
CREATE FUNCTION tap.everything() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT md5(concat_ws('|', tap.state(),
        (SELECT string_agg(c::text, ',' ORDER BY c.oid) FROM (SELECT oid, relname, relowner, relacl, relfilenode FROM pg_class WHERE relnamespace IN ('app'::regnamespace, 'hr'::regnamespace)) c),
        (SELECT string_agg(d::text, ',' ORDER BY d::text) FROM pg_shdepend d WHERE dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))),
        (SELECT string_agg(o::text, ',' ORDER BY id) FROM app.orders o), (SELECT string_agg(l::text, ',' ORDER BY id) FROM app.log l)))
$$;
SELECT tap.everything() AS before \gset
CREATE FUNCTION tap.tried(who text, template text, statement text, mode text DEFAULT 'check') RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' | ', outcome, nullif(array_to_string(missing, '; '), ''), sqlstate, message)
    FROM jit_dry_run(template, ARRAY[statement], mode, who)
$$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tap TO PUBLIC;

-- check
SELECT is(tap.tried(NULL, template, statement), answer, 'check, ' || template || ': ' || statement) FROM (VALUES
    (1, 'debug_read', 'SELECT * FROM app.orders', 'allowed'),
    (2, 'debug_read', 'UPDATE app.orders SET status = ''x'' WHERE id = 1', 'denied | UPDATE ON app.orders | 42501'),
    (3, 'debug_read', 'INSERT INTO app.log (note) SELECT card FROM app.orders', 'denied | INSERT ON app.log; USAGE ON SEQUENCE app.log_id_seq | 42501'),
    (4, 'debug_read', 'SELECT * FROM hr.salaries', 'denied | USAGE ON SCHEMA hr; SELECT ON hr.salaries | 42501'),
    (5, 'debug_read', 'SELECT o.id, s.amount FROM app.orders o JOIN hr.salaries s USING (id) WHERE EXISTS (SELECT FROM app.log)', 'denied | USAGE ON SCHEMA hr; SELECT ON hr.salaries; SELECT ON app.log | 42501'),
    (6, 'debug_read', 'SELECT card FROM app.cards', 'allowed'),
    (7, 'debug_read', 'SELECT name FROM app.people', 'allowed'),
    (8, 'debug_read', 'SELECT name, salary FROM app.people', 'denied | SELECT (salary) ON app.people | 42501'),
    (9, 'debug_read', 'SELECT * FROM app.customers', 'denied | SELECT ON app.allowed | 42501'),
    (10, 'debug_read', 'WITH gone AS (DELETE FROM app.orders RETURNING id) SELECT * FROM gone', 'denied | DELETE ON app.orders | 42501'),
    (11, 'debug_read', 'SELECT app.next_status(status) FROM app.orders', 'denied | EXECUTE ON FUNCTION app.next_status(pg_catalog.text) | 42501'),
    (12, 'debug_read', 'SELECT nextval(''app.numbers'')', 'denied | USAGE ON SEQUENCE app.numbers | 42501'),
    (13, 'debug_read', 'SELECT * FROM app.orders WHERE id = $1 AND status = $2', 'allowed'),
    (14, 'debug_read', 'SELECT * FROM app.nowhere', 'failed | 42P01 | relation "app.nowhere" does not exist'),
    (15, 'debug_read', 'SELEC 1', 'failed | 42601 | syntax error at or near "SELEC"'),
    (16, 'debug_read', 'SELECT 1; SELECT 2', 'failed | JA001 | invalid statement: It is more than one statement.'),
    (17, 'debug_read', '', 'failed | JA001 | invalid statement: It is empty.'),
    (18, 'debug_read', 'TRUNCATE app.orders', 'denied | TRUNCATE ON app.orders | 42501'),
    (19, 'debug_read', 'ALTER TABLE app.orders ADD x integer', 'denied | OWNERSHIP ON app.orders | 42501'),
    (20, 'debug_read', 'CREATE TABLE app.x (id integer REFERENCES app.orders)', 'denied | REFERENCES ON app.orders; CREATE ON SCHEMA app | 42501'),
    (21, 'fix', 'CREATE TABLE app.x (id integer)', 'allowed'),
    (22, 'debug_read', 'EXPLAIN ANALYZE DELETE FROM app.orders', 'denied | DELETE ON app.orders | 42501'),
    (23, 'debug_read', 'CREATE TEMP TABLE mine AS SELECT * FROM app.log', 'denied | SELECT ON app.log | 42501'),
    (24, 'debug_read', 'COPY app.log TO STDOUT', 'denied | SELECT ON app.log | 42501'),
    (25, 'debug_read', 'COPY (SELECT * FROM app.log) TO STDOUT', 'denied | SELECT ON app.log | 42501'),
    (26, 'debug_read', 'COPY app.orders TO ''/tmp/x''', 'refused | JA016 | COPY is not allowed to a session that uses a grant: The record does not show what programs and files of the server do.'),
    (27, 'fix', 'GRANT SELECT ON app.orders TO PUBLIC', 'refused | JA016 | GRANT is not allowed to a session that uses a grant: GRANT and REVOKE would pass privileges on.'),
    (28, 'fix', 'CREATE FUNCTION app.f() RETURNS integer LANGUAGE sql AS ''SELECT 1''', 'refused | JA016 | CREATE FUNCTION is not allowed to a session that uses a grant: Functions run with the privileges of their owner.'),
    (29, 'debug_read', 'DO $$ BEGIN PERFORM 1; END $$', 'unknown | The privileges that it needs are known only when it runs: use mode => ''execute''.'),
    (30, 'debug_read', 'BEGIN', 'allowed'),
    (31, 'debug_read', 'SELECT app.spy()', 'allowed'),
    (32, 'debug_read', 'CREATE SCHEMA more', 'denied | CREATE ON DATABASE | 42501'),
    (33, 'debug_read', 'SELECT * FROM jit_access.record', 'denied | SELECT ON jit_access.record | 42501')) v (n, template, statement, answer) ORDER BY n;
SELECT is((SELECT array_agg(outcome ORDER BY number) FROM jit_dry_run('debug_read', '{SELECT 1 FROM app.orders,DELETE FROM app.orders,SELECT 2 FROM app.orders}')),
    '{allowed,denied,allowed}', 'each by itself');
SELECT is((SELECT array_agg(outcome ORDER BY number) FROM jit_dry_run('debug_read', '{SELECT 1 FROM orders,SELECT 1 FROM app.orders}', search_path => 'app')),
    '{allowed,allowed}', 'with a search_path');

-- Code of other users does not run where a statement is only checked.
SELECT is(tap.tried(NULL, 'debug_read', statement), 'refused | JA016 | function spy is not called in a dry run: Nothing is run where a statement is only checked.', 'a trap: ' || statement)
FROM unnest(ARRAY['SELECT ''(x)''::app.trapped', 'SELECT ''{x}''::app.trap[]']) AS statement;
SELECT is(tap.tried(NULL, 'debug_read', 'SELECT 1 FROM app.orders WHERE app.spy() > 0'), 'allowed', 'nor does a function that the planner would evaluate');

-- As a person, and without a template.
SELECT is(tap.tried('alice', 'debug_read', 'SELECT * FROM hr.mine, app.orders'), 'allowed', 'with the person''s own privileges, in mode inherit');
SELECT is(tap.tried('dave', 'debug_read', 'SELECT * FROM hr.mine, app.orders'), 'denied | USAGE ON SCHEMA hr; SELECT ON hr.mine | 42501', 'another has not');
SELECT is(tap.tried('alice', 'fix', 'SELECT * FROM hr.mine, app.orders'), 'denied | USAGE ON SCHEMA hr; SELECT ON hr.mine | 42501', 'and not where it is set_role');
SELECT is((SELECT array_agg(outcome || array_to_string(missing, ';') ORDER BY number) FROM jit_dry_run(NULL, '{SELECT * FROM hr.salaries,DELETE FROM hr.salaries}',
    privileges => '{USAGE ON SCHEMA hr,SELECT ON hr.salaries}')), '{allowed,"deniedDELETE ON hr.salaries"}', 'a template that is not there');
SELECT is((SELECT outcome FROM jit_dry_run('writer', '{DELETE FROM app.orders}', privileges => '{USAGE ON SCHEMA app,SELECT ON app.orders}')), 'denied', 'a template with other privileges');
SELECT tap.refused($$SELECT * FROM jit_dry_run(NULL, '{SELECT 1}', privileges => '{"CREATE ON SCHEMA app"}')$$,
    'JA008 template "(new)" reaches more than a template may give: It holds CREATE on "app", which makes objects that outlive a grant.', 'privileges that no template may give');
SELECT is((SELECT outcome FROM jit_dry_run(NULL, '{CREATE TABLE app.t ()}', privileges => '{"USAGE, CREATE ON SCHEMA app"}', allow_schema_change => true)), 'allowed', 'unless it is declared');
SELECT is(tap.everything(), :'before', 'nothing is left of all this');

-- Bad input
SELECT tap.refused('SELECT * FROM jit_dry_run(' || arguments || ')', error, 'bad input: ' || arguments) FROM (VALUES
    (1, '''none'', ''{SELECT 1}''', 'JA002 template "none" does not exist, or you may not use it: Names are matched exactly, and a template is shown to those whom it lists.'),
    (2, 'NULL, ''{SELECT 1}''', 'JA001 invalid template: It is NULL, and so are the privileges.'),
    (3, '''fix'', NULL', 'JA001 invalid statements: There are none.'),
    (4, '''fix'', ''{}''', 'JA001 invalid statements: There are none.'),
    (5, '''fix'', ''{NULL}''', 'JA001 invalid statements: The array holds a NULL.'),
    (6, '''fix'', ''{SELECT 1}'', ''plan''', 'JA001 invalid mode: "plan" is not a mode.'),
    (7, '''fix'', ''{SELECT 1}'', person => ''nobody''', 'JA001 invalid person: There is no role "nobody".'),
    (8, '''fix'', ''{SELECT 1}'', person => ''' || :'owner' || '''', 'JA001 invalid person: "' || :'owner' || '" is a superuser, who needs no grant.'),
    (9, '''fix'', ''{SELECT 1}'', person => ''jit_template_fix''', 'JA001 invalid person: "jit_template_fix" belongs to jit_access.'),
    (10, '''fix'', ''{SELECT 1}'', statement_timeout => ''2 hours''', 'JA001 invalid statement_timeout: It is longer than an hour.'),
    (11, '''fix'', ''{SELECT 1}'', allow_code => true', 'JA001 invalid template: The template determines whether code and schema changes are allowed.'),
    (12, 'NULL, ''{SELECT 1}'', privileges => ''{nonsense}''', NULL)) v (n, arguments, error) WHERE error IS NOT NULL ORDER BY n;

-- Permissions
\connect - alice
CALL tap.start();
SELECT is(tap.tried(NULL, 'debug_read', 'SELECT * FROM hr.mine'), 'allowed', 'a requester of the template may try it for themselves');
SELECT is(tap.tried('alice', 'debug_read', 'DELETE FROM app.orders'), 'denied | DELETE ON app.orders | 42501', 'the same with the own login as person');
SELECT tap.refused($$SELECT * FROM jit_dry_run('debug_read', '{SELECT 1}', person => 'bob')$$,
    'JA004 you may only try this template for yourself: "alice" is not an approver of it, an auditor or an administrator.', 'not for another');
SELECT tap.refused($$SELECT * FROM jit_dry_run('debug_read', '{SELECT 1}', privileges => '{"SELECT ON hr.salaries"}')$$,
    'JA004 you may not make this dry run: Only auditors and administrators may try privileges that no template gives.', 'nor with other privileges');
SELECT tap.refused($$SELECT * FROM jit_dry_run('debug_read', '{SELECT 1}', 'execute')$$,
    'JA004 only an administrator of jit_access may do this: "alice" is neither a superuser nor a member of jit_admin.', 'a requester does not execute');
\connect - bob
CALL tap.start();
SELECT is(tap.tried('alice', 'debug_read', 'SELECT * FROM app.orders'), 'allowed', 'an approver tries it for the requester');
\connect - dave
CALL tap.start();
SELECT tap.refused($$SELECT * FROM jit_dry_run('debug_read', '{SELECT 1}')$$,
    'JA002 template "debug_read" does not exist, or you may not use it: Names are matched exactly, and a template is shown to those whom it lists.', 'a user without any part in the template may not');
\connect - olga
CALL tap.start();
SELECT is(tap.tried('alice', 'debug_read', 'SELECT * FROM app.orders'), 'allowed', 'an auditor does');
SELECT tap.refused($$SELECT * FROM jit_dry_run('debug_read', '{SELECT 1}', 'execute')$$,
    'JA004 only an administrator of jit_access may do this: "olga" is neither a superuser nor a member of jit_admin.', 'but does not execute');
\connect - ada
CALL tap.start();
SELECT tap.refused($$SELECT * FROM jit_dry_run('debug_read', '{SELECT 1}', 'execute', 'alice')$$,
    'JA004 only a superuser executes a dry run as another person: It would use the privileges that "alice" has without a grant.', 'an administrator does not execute as another person');
SELECT alike(tap.error($$SELECT * FROM jit_dry_run('debug_read', '{SELECT 1}', 'execute')$$),
    'JA018 a dry run is executed only by a statement that "ada" has sent: %', 'and only by a statement of their own');

-- execute
SELECT number || ' ' || concat_ws(' | ', outcome, nullif(array_to_string(missing, '; '), ''), rows, nullif(array_to_string(sequences, ','), ''), sqlstate, message) AS line
FROM jit_dry_run('writer', ARRAY[
    'INSERT INTO app.log (note) VALUES (''one''), (''two'')',
    'SELECT * FROM app.log',
    'SELECT 1 / 0',
    'SELECT card::date FROM app.orders',
    'DELETE FROM app.log',
    'SELECT app.count_orders()',
    'TRUNCATE app.log',
    'INSERT INTO app.orders VALUES (1)',
    'SELECT app.deep(3)',
    'SELECT * FROM hr.salaries',
    'DO $$ BEGIN PERFORM * FROM hr.salaries; EXCEPTION WHEN insufficient_privilege THEN NULL; END $$',
    'SET search_path = app',
    'SELECT count(*) FROM orders',
    'CREATE TEMP TABLE mine (id integer)',
    'INSERT INTO mine VALUES (1)'], 'execute');
SELECT number || ' ' || concat_ws(' | ', outcome, nullif(array_to_string(missing, '; '), ''), rows, sqlstate, message) AS line
FROM jit_dry_run('fix', ARRAY[
    'CREATE TABLE app.repair (id serial PRIMARY KEY, note text)',
    'INSERT INTO app.repair (note) VALUES (''x'')',
    'ALTER TABLE app.repair ADD done boolean',
    'CREATE INDEX ON app.repair (note)',
    'SELECT note, done FROM app.repair',
    'DROP TABLE app.repair'], 'execute');
\connect - :owner
CALL tap.start();
SELECT is(tap.everything(), :'before', 'the executed statements have left nothing');
SELECT is((SELECT last_value FROM app.log_id_seq) > 1, true, 'but the gaps of the sequences it named');

-- Effects that would survive a rollback, and what a grant does not allow.
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '/nowhere', use_remote_estimate 'true');
CREATE FOREIGN TABLE app.far (id integer) SERVER far;
GRANT SELECT, INSERT ON app.far TO jit_template_writer;
CREATE TABLE app.parts (id integer) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE app.far_part PARTITION OF app.parts FOR VALUES FROM (1) TO (9) SERVER far;
GRANT INSERT, SELECT ON app.parts TO jit_template_writer;
GRANT USAGE ON SEQUENCE app.numbers TO jit_template_writer;
CREATE FUNCTION app.swallows() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(1); RETURN 1; EXCEPTION WHEN OTHERS THEN RETURN 2; END $$;
CREATE FUNCTION app.lies() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_advisory_lock(1); RETURN 1; END $$;
CREATE FUNCTION app.high() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END $$;
CREATE FUNCTION app.fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('work_mem', '1MB', false); RETURN NEW; END $$;
CREATE TABLE app.fired (id integer);
CREATE TRIGGER fires BEFORE INSERT ON app.fired FOR EACH ROW EXECUTE FUNCTION app.fires();
CREATE FUNCTION app.ours() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN DELETE FROM jit_access.event; END $$;
CREATE FUNCTION app.gives() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN EXECUTE 'GRANT jit_admin TO alice'; END $$;
CREATE FUNCTION app.elsewhere(integer) RETURNS integer LANGUAGE plpgsql PARALLEL SAFE AS $$ BEGIN PERFORM pg_advisory_lock(1); RETURN $1; END $$;
CREATE FUNCTION app.insists() RETURNS bigint LANGUAGE plpgsql SET max_parallel_workers_per_gather = 2 AS $$ BEGIN RETURN (SELECT max(app.elsewhere(id)) FROM app.orders); END $$;
CREATE FUNCTION app.builds() RETURNS void LANGUAGE plpgsql SET max_parallel_maintenance_workers = 2 AS $$ BEGIN CREATE TEMP TABLE t AS SELECT 1; END $$;
CREATE FUNCTION app.makes() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN EXECUTE format('CREATE TABLE app.%I (id integer)', (SELECT max(card) FROM app.orders)); END $$;
CREATE FUNCTION app.asks() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM jit_revoke(1); END $$;
SELECT tap.everything() AS before \gset
\connect - ada
CALL tap.start();
SELECT set_config(name, 'on', false) AS forced FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query') \gset
SELECT number || ' ' || concat_ws(' | ', outcome, sqlstate, message) AS line
FROM jit_dry_run('writer', ARRAY[
    'SELECT pg_advisory_lock(1)', 'SELECT app.swallows()', 'SELECT app.lies()', 'SELECT app.high()', 'INSERT INTO app.fired VALUES (1)',
    'SELECT app.ours()', 'SELECT app.gives()', 'SELECT app.asks()',
    'SELECT max(app.elsewhere(id)) FROM app.orders', 'SELECT app.insists()', 'SELECT app.builds()',
    'SELECT setval(''app.numbers'', 1)', 'SELECT set_config(''work_mem'', ''1MB'', false)', 'SELECT pg_terminate_backend(1)', 'SELECT lo_export(1, ''/tmp/x'')',
    'SELECT pg_read_file(''x'')', 'SELECT query_to_xml(''SELECT 1'', true, true, '''')',
    'SELECT * FROM app.far', 'INSERT INTO app.far VALUES (1)', 'INSERT INTO app.parts VALUES (1)', 'SELECT * FROM app.parts', 'EXPLAIN SELECT * FROM app.far',
    'COPY app.orders TO ''/tmp/x''', 'COPY app.orders TO PROGRAM ''cat''', 'COPY app.orders TO STDOUT', 'COMMIT', 'BEGIN', 'SAVEPOINT a', 'VACUUM app.orders', 'CREATE INDEX CONCURRENTLY ON app.orders (card)',
    'PREPARE p AS SELECT 1', 'DECLARE c CURSOR WITH HOLD FOR SELECT * FROM app.orders', 'LISTEN x', 'SET application_name = ''x''', 'SET client_min_messages = notice', 'SET ROLE alice', 'SET SESSION AUTHORIZATION alice', 'RESET ALL', 'DISCARD ALL',
    'LOAD ''x''', 'DO LANGUAGE sql $$SELECT 1$$', 'CREATE DATABASE x', 'ALTER SYSTEM SET work_mem = 1', 'GRANT SELECT ON app.orders TO PUBLIC', 'CREATE ROLE x', 'CREATE EXTENSION dblink', 'CHECKPOINT', 'REINDEX TABLE app.orders',
    'SELECT * FROM jit_dry_run(''writer'', ''{SELECT 1}'')'], 'execute');
DO $$ BEGIN RAISE INFO 'heard'; END $$;
SELECT number || ' ' || concat_ws(' | ', outcome, rows, sqlstate, message) AS line
FROM jit_dry_run('writer', ARRAY[
    'DO $do$ BEGIN RAISE INFO ''%'', (SELECT max(card) FROM app.orders); END $do$',
    'DO $do$ BEGIN RAISE EXCEPTION ''%'', (SELECT max(card) FROM app.orders); END $do$',
    'DO $do$ BEGIN RAISE EXCEPTION USING ERRCODE = ''42501'', MESSAGE = (SELECT max(card) FROM app.orders); END $do$',
    'DO $do$ BEGIN EXECUTE (SELECT max(card) FROM app.orders); END $do$',
    'NOTIFY x, ''y''',
    'DO $do$ BEGIN RAISE EXCEPTION USING ERRCODE = ''JA016'', MESSAGE = (SELECT max(card) FROM app.orders); END $do$',
    'DO $do$ BEGIN EXECUTE ''ALTER ROLE "jit_grant_'' || (SELECT max(card) FROM app.orders) || ''" LOGIN''; END $do$',
    'SELECT (''a'' || card)::regclass FROM app.orders', 'SELECT (''"card" '' || card || '' "card"'')::regclass FROM app.orders', 'SELECT current_setting(card) FROM app.orders',
    'CREATE TEMP TABLE t AS SELECT (''a'' || card)::regclass AS c FROM app.orders', 'CREATE TEMP TABLE app_orders (id integer)', 'CREATE TEMP TABLE app_orders (id integer)'], 'execute');
SELECT number || ' ' || concat_ws(' | ', outcome, nullif(array_to_string(missing, '; '), ''), nullif(array_to_string(sequences, '; '), ''), sqlstate, message) AS line
FROM jit_dry_run('writer', ARRAY[
    'DO $do$ BEGIN EXECUTE format(''CREATE TEMP TABLE t (a integer CONSTRAINT %I CHECK (a > 0))'', (SELECT max(card) FROM app.orders)); END $do$',
    'INSERT INTO t VALUES (0)',
    'DO $do$ DECLARE c text := (SELECT max(card) FROM app.orders); BEGIN EXECUTE format(''CREATE TEMP SEQUENCE %I'', c); PERFORM nextval(quote_ident(c)), nextval(''app.numbers''); END $do$',
    'INSERT INTO app.orders (id) VALUES (NULL)'], 'execute');
SELECT number || ' ' || concat_ws(' | ', outcome, nullif(array_to_string(missing, '; '), ''), sqlstate, message) AS line
FROM jit_dry_run('debug_read', ARRAY['SELECT app.makes()', 'DO $do$ BEGIN EXECUTE format(''SELECT * FROM app.%I'', (SELECT max(card) FROM app.orders)); END $do$',
    'DO $do$ BEGIN PERFORM * FROM app.people; END $do$'], 'execute');
SELECT number || ' ' || concat_ws(' | ', outcome, sqlstate, message) AS line
FROM jit_dry_run('writer', ARRAY['SELECT pg_sleep(1000)', 'DO $do$ BEGIN LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN EXIT; END; END LOOP; END $do$', 'SELECT 1'],
    'execute', statement_timeout => '1 second');
\connect - :owner
CALL tap.start();
SELECT is(tap.everything(), :'before', 'none of it has left anything behind');
SELECT is((SELECT count(*)::int FROM pg_roles WHERE rolname LIKE 'jit\_rehearsal%'), 0, 'no role is left');
SELECT is((SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory'), 0, 'no lock is left');

-- Dry runs are on the record, even if their transaction is rolled back.
\connect - ada
BEGIN;
SELECT outcome FROM jit_dry_run('writer', '{SELECT 4711 FROM app.orders}', 'execute');
ROLLBACK;
\connect - :owner
CALL tap.start();
CALL tap.wait_for_record();
SELECT is(array_agg(concat_ws(' | ', kind, login, tag, statement, outcome, rows)), ARRAY['use | ada | DRY RUN | /* dry run: template writer */ SELECT 4711 FROM app.orders | completed | 3'],
    'on the record, though the transaction was rolled back')
FROM jit_access.audit_log WHERE statement LIKE '/* dry run%4711%';
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE tag = 'DRY RUN' AND outcome IS NULL), 0, 'each has an end there');
DROP SCHEMA hr CASCADE;
DROP EXTENSION postgres_fdw CASCADE;
\i test/sql/include/clean.sql
