\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Every use of a grant is on the record: login, grant, client, statement, objects, outcome.
CREATE TABLE app.log (id integer);
CREATE FUNCTION app.peek(integer) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT status FROM app.orders WHERE id = $1); END $$;
SELECT jit_create_template('work', '{"USAGE ON SCHEMA app", "SELECT, INSERT, UPDATE, DELETE ON app.orders", "SELECT, TRUNCATE ON app.log"}',
                           requesters => '{alice}', approvers => '{bob}') AS role \gset
SELECT jit_create_template('fix', '{"USAGE ON SCHEMA app", "SELECT ON app.orders"}', requesters => '{alice}', approvers => '{bob}',
                           mode => 'set_role') AS role \gset
\connect - alice
SELECT jit_request('work', '1h', 'invoices', 'OPS-9') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
SELECT 'not under a grant' AS nothing \gset

-- One statement after the other, as psql sends them. Their output does not matter here.
\connect - alice
\o /dev/null
SET application_name = 'the work';
SELECT id, status FROM app.orders;
INSERT INTO app.orders VALUES (4, 'new', NULL), (5, 'new', NULL);
UPDATE app.orders SET status = 'seen' WHERE id <= 2;
DELETE FROM app.orders WHERE id = 999;
BEGIN;
DELETE FROM app.orders;
ROLLBACK;
BEGIN READ ONLY;
SELECT count(*) FROM app.orders;
COMMIT;
SELECT 1 / (id - 1) FROM app.orders;
SELECT * FROM app.customers;
DROP TABLE app.orders;
SELECT app.peek(1);
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM app.orders ORDER BY id;
FETCH 2 FROM c;
FETCH ALL FROM c;
CLOSE c;
COMMIT;
PREPARE p (integer) AS SELECT card FROM app.orders WHERE id = $1;
EXECUTE p (1);
COPY app.orders TO STDOUT;
COPY (SELECT id FROM app.orders) TO STDOUT;
TRUNCATE app.log;
DO $$ BEGIN PERFORM * FROM app.orders; BEGIN PERFORM * FROM app.customers; EXCEPTION WHEN OTHERS THEN NULL; END; END $$;
EXPLAIN SELECT * FROM app.orders;
SELECT id FROM app.orders; SELECT status FROM app.orders WHERE id = 1;
WITH gone AS (DELETE FROM app.orders WHERE id = 5 RETURNING id) INSERT INTO app.orders SELECT 6 FROM gone;
SELECT count(*) FROM app.orders o JOIN app.log l USING (id);
SELECT pg_backend_pid() AS pid \gset
\o
\connect - :owner
CALL tap.start();
CALL tap.wait_for_record();

\connect - olga
CALL tap.start();
CREATE TEMPORARY VIEW uses AS SELECT * FROM jit_access.audit_log WHERE kind = 'use' AND application = 'the work';
SELECT is((SELECT count(DISTINCT (login, role, database, pid, session_start, grant_id, grants))::int FROM uses), 1,
          'one session, one grant');
SELECT results_eq(
    $$SELECT DISTINCT login COLLATE "default", role COLLATE "default", database COLLATE "default", pid, grant_id, grants FROM uses$$,
    format($$VALUES ('alice', 'alice', %L, %s, %s::bigint, '{%s}'::bigint[])$$, current_database(), :pid, :id, :id),
    'login, client, grant');
SELECT ok(bool_and(client_addr IS NULL), 'from where: a Unix socket has no address') FROM uses;
SELECT ok(bool_and(outcome IS NOT NULL AND duration >= '0' AND sqlstate ~ '^.{5}$'), 'every use has its end') FROM uses;
SELECT ok(bool_and(at >= session_start), 'and its time') FROM uses;
SELECT results_eq(
    $$SELECT tag, rows, objects, privileges, outcome FROM uses WHERE depth = 0 AND tag IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
      AND statement NOT LIKE '%pg_backend_pid%' AND statement NOT LIKE 'SELECT id FROM app.orders ORDER BY id' ORDER BY seq$$,
    $$VALUES ('SELECT', 3::bigint, '{app.orders}'::text[], '{SELECT}'::text[], 'completed'),
             ('INSERT', 2, '{app.orders}', '{INSERT}', 'completed'),
             ('UPDATE', 2, '{app.orders}', '{"SELECT,UPDATE"}', 'completed'),
             ('DELETE', 0, '{app.orders}', '{"SELECT,DELETE"}', 'completed'),
             ('DELETE', 5, '{app.orders}', '{DELETE}', 'completed'),
             ('SELECT', 1, '{app.orders}', '{SELECT}', 'completed'),
             ('SELECT', 0, '{app.orders}', '{SELECT}', 'failed'),
             ('SELECT', 0, '{app.customers}', '{SELECT}', 'failed'),
             ('SELECT', 1, '{}', '{}', 'completed'),
             ('SELECT', 5, '{app.orders}', '{SELECT}', 'completed'),
             ('SELECT', 1, '{app.orders}', '{SELECT}', 'completed'),
             ('INSERT', 1, '{app.orders}', '{"SELECT,INSERT,DELETE"}', 'completed'),
             ('SELECT', 1, '{app.orders,app.log}', '{SELECT,SELECT}', 'completed')$$,
    'reads, writes, rolled-back, read-only, failed and denied statements, with their rows and the privileges used');
SELECT results_eq(
    $$SELECT statement, sqlstate FROM uses WHERE outcome = 'failed' AND depth = 0 ORDER BY seq$$,
    $$VALUES ('SELECT 1 / (id - 1) FROM app.orders', '22012'), ('SELECT * FROM app.customers', '42501'),
             ('DROP TABLE app.orders', '42501')$$, 'failures carry their code');
SELECT results_eq(
    $$SELECT depth, tag, statement, rows FROM uses WHERE seq >= (SELECT seq FROM uses WHERE statement = 'SELECT app.peek(1)') ORDER BY seq LIMIT 2$$,
    $$VALUES (0, 'SELECT', 'SELECT app.peek(1)', 1::bigint), (1, 'SELECT', '(SELECT status FROM app.orders WHERE id = $1)', 1)$$,
    'a statement inside a function stands below the one that called it');
SELECT results_eq(
    $$SELECT tag, rows FROM uses WHERE depth = 0 AND tag IN ('DECLARE CURSOR', 'FETCH', 'CLOSE CURSOR') ORDER BY seq$$,
    $$VALUES ('DECLARE CURSOR', 0::bigint), ('FETCH', 2), ('FETCH', 3), ('CLOSE CURSOR', 0)$$, 'a cursor, and each fetch from it');
SELECT results_eq(
    $$SELECT rows, objects, outcome FROM uses WHERE tag = 'SELECT' AND statement LIKE '%SELECT id FROM app.orders ORDER BY id'$$,
    $$VALUES (5::bigint, '{app.orders}'::text[], 'completed')$$, 'the query of the cursor, with all rows that were fetched');
SELECT is(ARRAY(SELECT format('%s %s %s', depth, tag, array_to_string(objects, ',')) FROM uses
                WHERE seq BETWEEN (SELECT seq FROM uses WHERE tag = 'PREPARE') AND (SELECT seq FROM uses WHERE tag = 'COPY' ORDER BY seq LIMIT 1) ORDER BY seq),
          '{"0 PREPARE ","0 EXECUTE ","1 SELECT app.orders","0 COPY app.orders"}', 'EXECUTE, and the prepared statement');
SELECT is(ARRAY(SELECT format('%s %s %s %s', statement, objects, privileges, outcome) FROM uses WHERE tag = 'TRUNCATE TABLE'), '{"TRUNCATE app.log {app.log} {TRUNCATE} completed"}', 'a utility command');
SELECT is((SELECT rows FROM uses WHERE statement = 'COPY app.orders TO STDOUT'), 5::bigint, 'the rows that COPY carried out');
SELECT is(ARRAY(SELECT format('%s %s', array_to_string(objects, ','), outcome) FROM uses WHERE depth > 0 AND seq > (SELECT seq FROM uses WHERE tag = 'DO') ORDER BY seq LIMIT 2),
          '{"app.orders completed","app.customers failed"}', 'the statements of a block, and the error that it caught');
SELECT is(ARRAY(SELECT tag FROM uses WHERE tag = 'EXPLAIN'), '{EXPLAIN}', 'EXPLAIN alone runs nothing');
SELECT is(ARRAY(SELECT statement FROM uses WHERE statement IN ('SELECT id FROM app.orders', 'SELECT status FROM app.orders WHERE id = 1') AND depth = 0 ORDER BY seq),
          ARRAY['SELECT id FROM app.orders', 'SELECT status FROM app.orders WHERE id = 1'], 'of several statements on a line each stands by itself');
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE statement LIKE '%not under a grant%'), 0, 'without a grant nothing is recorded');
SELECT results_eq(
    format('SELECT requester, template, statements, failed, refused, objects FROM jit_access.grant_usage WHERE id = %s', :id),
    format($$SELECT 'alice', 'work', count(*), count(*) FILTER (WHERE outcome = 'failed'), 0::bigint, '{app.customers,app.log,app.orders}'::text[]
             FROM jit_access.audit_log WHERE grant_id = %s AND kind = 'use'$$, :id), 'grant_usage sums it up');
SELECT ok(first_use <= last_use, 'with the first and the last use') FROM jit_access.grant_usage WHERE id = :id;

-- Long statements keep their beginning and their length; text is kept as sent.
\connect - alice
SET application_name = 'long';
SELECT format('SELECT 1 /* %s */', repeat('x', 20000)) AS long \gset
:long \g /dev/null
SELECT 'Zürich ✓ "quoted" \ ''twice''' AS text \g /dev/null
\connect - :owner
CALL tap.wait_for_record();
\connect - olga
CALL tap.start();
SELECT results_eq($$SELECT length(statement), statement_bytes, statement_sha256 FROM jit_access.audit_log WHERE application = 'long' AND statement LIKE '%xxx%'$$,
                  format($$VALUES (8192, 20015, %L)$$, encode(sha256(convert_to(:'long', 'UTF8')), 'hex')), 'a long statement, with its length and SHA-256');
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE statement_bytes <= 8192 AND statement_sha256 IS NOT NULL), 0, 'a short one has it not');
SELECT is((SELECT statement FROM jit_access.audit_log WHERE application = 'long' AND statement LIKE '%rich%'),
          $$SELECT 'Zürich ✓ "quoted" \ ''twice''' AS text$$, 'a statement in any script');

-- After SET ROLE the login on the record is still the session user.
\connect - alice
SELECT jit_request('fix', '1h') AS fix \gset
\connect - bob
SELECT jit_revoke(:id, 'done') AS state \gset
SELECT jit_approve(:fix) AS state \gset
\connect - :owner
CALL tap.wait_for_cleanup();
\connect - alice
SET application_name = 'by role';
SELECT 'before' AS x \gset
SELECT 'jit_grant_' || :'fix' AS grant_role \gset
SET ROLE :grant_role;
SELECT count(*) AS orders FROM app.orders \gset
RESET ROLE;
SELECT 'after' AS x \gset
\connect - :owner
CALL tap.wait_for_record();
\connect - olga
CALL tap.start();
SELECT is(ARRAY(SELECT format('%s as %s: %s', login, role, statement) FROM jit_access.audit_log WHERE application = 'by role' AND kind = 'use'
                AND tag = 'SELECT' ORDER BY seq),
          ARRAY[format('alice as %s: SELECT count(*) AS orders FROM app.orders', :'grant_role')],
          'only statements under the role are uses, with the login and the role');

-- A member of the grant's role that takes the template's role is refused under the grant.
\connect - alice
SET application_name = 'by template role';
DO $$ BEGIN SET ROLE jit_template_fix; PERFORM * FROM app.orders; EXCEPTION WHEN insufficient_privilege OR SQLSTATE 'JA016' THEN NULL; END $$;
RESET ROLE;
\connect - :owner
CALL tap.wait_for_record();
\connect - olga
CALL tap.start();
SELECT is(ARRAY(SELECT format('%s by %s as %s under %s: %s', kind, login, role, grant_id, sqlstate) FROM jit_access.audit_log WHERE application = 'by template role' AND tag = 'SELECT'),
          CASE WHEN current_setting('server_version_num')::int < 160000 THEN ARRAY['refusal by alice as jit_template_fix under ' || :'fix' || ': JA016'] ELSE '{}' END,
          'by the role of the template');

-- Decisions are on the same record, in order.
SELECT is(ARRAY(SELECT kind || ' by ' || login FROM jit_access.audit_log WHERE grant_id = :id AND kind NOT IN ('use', 'refusal') ORDER BY seq),
          '{"requested by alice","approved by bob","activated by bob","revoked by bob","cleaned up by jit_access"}',
          'the life of the grant');
SELECT results_eq(format($$SELECT detail->>'template', detail->>'reason', detail->>'ticket', detail->>'duration' FROM jit_access.audit_log
                           WHERE grant_id = %s AND kind = 'requested'$$, :id),
                  $$VALUES ('work', 'invoices', 'OPS-9', '1h')$$, 'the record of the request');
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE kind = 'template created' AND detail->>'template' = 'work'), 1, 'the template');
SELECT is((SELECT count(*) FROM jit_access.audit_log), (SELECT count(DISTINCT seq) FROM jit_access.audit_log), 'one row each');
\connect - :owner
CALL tap.start();
SELECT results_eq('SELECT min(seq), max(seq) FROM jit_access.record', 'SELECT 1::bigint, count(*) FROM jit_access.record', 'without a gap');
\i test/sql/include/clean.sql
