\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Passwords and connection strings do not reach the record, whether the statement ran, failed or was refused.
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}') AS role \gset
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
GRANT USAGE ON FOREIGN SERVER elsewhere TO alice;
\connect - alice
SELECT jit_request('debug_read', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - alice
CALL tap.start();
SELECT tap.error(statement) AS error FROM unnest(ARRAY[
    'CREATE ROLE minion LOGIN PASSWORD ''hunter2''', 'ALTER ROLE alice ENCRYPTED PASSWORD E''hun\''ter2'' VALID UNTIL ''infinity''',
    'CREATE USER minion pAsSwOrD $$hunter2$$', 'CREATE USER MAPPING FOR alice SERVER elsewhere OPTIONS (user ''a'', password ''hunter2'')',
    'ALTER USER MAPPING FOR alice SERVER elsewhere OPTIONS (SET password U&''hunter2'')',
    'CREATE SUBSCRIPTION s CONNECTION ''host=x password=hunter2'' PUBLICATION p',
    'CREATE SUBSCRIPTION s CONNECTION ''postgresql://a:hunter2@x/db'' PUBLICATION p',
    'ALTER SYSTEM SET primary_conninfo = ''user=a password=hunter2''',
    'SELECT ''https://a:hunter2@x/'', id FROM app.orders', 'SELECT id, ''hunter2'' AS password FROM app.orders',
    'SELECT ''password='' ''x'' ''hunter2''', 'DO $x$ BEGIN PERFORM ''password=hunter2'', id FROM app.orders; END $x$',
    'DO $x$ BEGIN EXECUTE ''SELECT ''''password=hunter2'''' FROM app.orders''; END $x$',
    'DO $x$ BEGIN EXECUTE $y$SELECT ''hunter2'' AS password FROM app.orders$y$; END $x$',
    'SELECT ''hunter2'' AS "j jit_step jit_Step_Up" FROM app.orders', 'SELECT 2 AS "JIT_CONFIRM_TOTP", ''hunter2'' FROM app.orders',
    -- A function that takes a code is named in each way that SQL can write an identifier.
    'SELECT U&"jit_step\005fup"(''hunter2''), id FROM app.orders', 'SELECT u&"jit_step_u\+000070" (''hunter2''), id FROM app.orders',
    'SELECT U&"!006ait_step!005fup" /* x */ UESCAPE ''!'' (''hunter2'') FROM app.orders', 'SELECT U&"jit__confirm__totp" UESCAPE ''_'' (''hunter2'') FROM app.orders',
    'SELECT U&"jjj005fstep_up" UESCAPE ''j'', ''hunter2'' FROM app.orders',
    'DO $x$ BEGIN PERFORM U&"jit_step\005fup"(''hunter2'') FROM app.orders; END $x$',
    'COPY (SELECT ''hunter2'' AS passwd FROM app.orders) TO STDOUT', 'SELECT x''0'' || B''1'' AS password, ''hunter2'' FROM app.orders']) AS statement \g /dev/null
PREPARE step_up(text) AS SELECT U&"jit_step\005fup"($1) FROM app.orders;
EXECUTE step_up('hunter2');
SELECT U&"h\0061rmless" FROM (SELECT 'kept' AS harmless FROM app.orders) s LIMIT 0;
SELECT 'kept' AS harmless, 'https://x/?at=a:b@c' AS link FROM app.orders LIMIT 0;
-- Statements of equal length: a harmless one is recognised by its text, not by its length.
SELECT 'ordinary' AS harmless FROM app.orders LIMIT 0;
SELECT 'hunter2!' AS password FROM app.orders LIMIT 0;
SELECT 'ordinary' AS harmless FROM app.orders LIMIT 0;
SELECT 'hunter2!' AS password FROM app.orders LIMIT 0;
\connect - :owner
DROP SERVER elsewhere CASCADE;
DROP FOREIGN DATA WRAPPER nowhere;
CALL tap.wait_for_record();
CALL tap.start();
SELECT is(count(*), 0::bigint, 'no secret in the record') FROM jit_access.audit_log WHERE audit_log::text ~ 'hunter2|hun.{1,4}ter2';
SELECT ok(count(*) >= 12, 'although the statements are there') FROM jit_access.audit_log WHERE grant_id = :id AND statement LIKE '%''***''%';
SELECT results_eq($$SELECT statement FROM jit_access.audit_log WHERE login = 'alice' AND statement ~ '^(CREATE ROLE minion|CREATE USER minion|ALTER ROLE alice ENC)' ORDER BY seq$$,
    $$VALUES ('CREATE ROLE minion LOGIN PASSWORD ''***'''), ('ALTER ROLE alice ENCRYPTED PASSWORD ''***'' VALID UNTIL ''***'''), ('CREATE USER minion pAsSwOrD ''***''')$$, 'other parts of the statement are kept')
;
SELECT is(count(*), 1::bigint, 'other literals are kept') FROM jit_access.audit_log WHERE statement = $$SELECT 'kept' AS harmless, 'https://x/?at=a:b@c' AS link FROM app.orders LIMIT 0$$;
SELECT is(count(*), 1::bigint, 'of a prepared statement that takes a code, too') FROM jit_access.audit_log WHERE statement = $$EXECUTE step_up('***')$$;
SELECT is(count(*), 1::bigint, 'and not of an escaped name that is another') FROM jit_access.audit_log WHERE statement LIKE $$SELECT U&"h\\0061rmless" FROM (SELECT 'kept'%$$;
SELECT results_eq($$SELECT statement FROM jit_access.audit_log WHERE statement ~ '^SELECT .{10} AS (harmless|password) FROM app.orders LIMIT 0$|^SELECT ''\*\*\*'' AS password FROM app.orders LIMIT 0$' ORDER BY seq$$,
    $$VALUES ('SELECT ''ordinary'' AS harmless FROM app.orders LIMIT 0'), ('SELECT ''***'' AS password FROM app.orders LIMIT 0'), ('SELECT ''ordinary'' AS harmless FROM app.orders LIMIT 0'), ('SELECT ''***'' AS password FROM app.orders LIMIT 0')$$,
    'each by its own text, when they come again as well');
\i test/sql/include/clean.sql
