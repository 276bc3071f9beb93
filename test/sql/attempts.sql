\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Denied attempts are on the record, wherever they were denied; errors that have nothing to do with a grant are not.
CALL tap.wait_for_record();
SELECT coalesce(max(seq), 0) AS before FROM jit_access.record \gset
CREATE SCHEMA secret;
CREATE TABLE secret.orders ();
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}') AS role \gset
\connect - alice
SELECT jit_request('debug_read', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
SELECT * FROM secret.orders;
SELECT jit_approve(4711, 'tired');
SELECT jit_deny(:id, 'too late');
BEGIN; SELECT jit_revoke(4712); ROLLBACK;
SELECT jit_approve(4713, 'my password is hunter2');
\connect - carol
SELECT jit_request('debug_read', '1h');
SELECT jit_create_template('mine');
DO $$ BEGIN PERFORM jit_request('caught', '1h'); EXCEPTION WHEN OTHERS THEN NULL; END $$;
DO $$ BEGIN RAISE 'cannot decide about your own request' USING ERRCODE = 'JA006'; END $$;
DO $$ BEGIN PERFORM jit_request('renamed', '1h'); EXCEPTION WHEN OTHERS THEN RAISE 'no' USING ERRCODE = SQLSTATE; END $$;
DO $d$ BEGIN PERFORM jit_request('anew', '1h'); EXCEPTION WHEN OTHERS THEN RAISE; END $d$;
\connect - alice
SELECT 1 FROM secret.orders;
SELECT count(*) > 0 FROM app.orders;
SELECT 2 FROM secret.orders;
BEGIN; SAVEPOINT s; SELECT 3 FROM secret.orders; ROLLBACK TO s; COMMIT;
SELECT id FROM app.customers;
SELECT 'x' AS password FROM secret.orders;
BEGIN; LOCK TABLE secret.orders; ROLLBACK;
\connect - :owner
CALL tap.wait_for_record();
CALL tap.start();
SELECT results_eq(format($$SELECT login, sqlstate, rtrim(statement, ';'), detail->>'reason' FROM jit_access.audit_log WHERE seq > %s AND kind = 'refusal' AND login IN ('bob', 'carol') AND grant_id IS NULL
                    AND database = current_database() ORDER BY seq$$, :before), format($$VALUES
    ('bob', 'JA003', 'SELECT jit_approve(4711, ''tired'')', 'request 4711 does not exist, or you may not see it'),
    ('bob', 'JA005', 'SELECT jit_deny(%s, ''too late'')', 'request %1$s cannot be decided any more'),
    ('bob', 'JA003', 'SELECT jit_revoke(4712)', 'request 4712 does not exist, or you may not see it'),
    ('bob', 'JA003', '(not recorded: it may hold a secret)', 'request 4713 does not exist, or you may not see it'),
    ('carol', 'JA002', 'SELECT jit_request(''debug_read'', ''1h'')', 'template "debug_read" does not exist, or you may not use it'),
    ('carol', 'JA002', 'DO $d$ BEGIN PERFORM jit_request(''anew'', ''1h''); EXCEPTION WHEN OTHERS THEN RAISE; END $d$', 'template "anew" does not exist, or you may not use it')$$, :'id'),
    'requests and decisions that failed');
SELECT results_eq(format($$SELECT kind, outcome, sqlstate, rtrim(statement, ';'), detail->>'reason' FROM jit_access.audit_log WHERE grants = '{%s}' AND sqlstate = '42501' ORDER BY seq$$, :'id'), $$VALUES
    ('refusal', 'refused', '42501', 'SELECT 1 FROM secret.orders', 'permission denied for schema secret'),
    ('refusal', 'refused', '42501', 'SELECT 2 FROM secret.orders', 'permission denied for schema secret'),
    ('refusal', 'refused', '42501', 'SELECT 3 FROM secret.orders', 'permission denied for schema secret'),
    ('use', 'failed', '42501', 'SELECT id FROM app.customers', NULL),
    ('refusal', 'refused', '42501', '(not recorded: it may hold a secret)', 'permission denied for schema secret'),
    ('use', 'failed', '42501', 'LOCK TABLE secret.orders', NULL)$$, 'privileges that were missing under a grant');
SELECT is(count(*), 0::bigint, 'without a grant denied statements are not recorded') FROM jit_access.audit_log WHERE login IN ('bob', 'carol') AND sqlstate = '42501';
DROP SCHEMA secret CASCADE;
\i test/sql/include/clean.sql
