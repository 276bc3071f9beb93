\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- No login fills the record with attempts: above jit_access.attempt_rate they are counted. Siblings: refusals without a
-- grant, refusals under a grant, errors that code catches, requests that are cancelled again, enrolments.
ALTER SYSTEM SET jit_access.attempt_rate = 5;
ALTER SYSTEM SET jit_access.worker_naptime = '1s';
SELECT jit_create_template('read', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}') AS role \gset
\connect - alice
SELECT jit_request('read', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - :owner
CREATE SCHEMA secret;
CREATE TABLE secret.orders ();
CALL tap.wait_for_record();
SELECT max(seq) AS before FROM jit_access.record \gset
SELECT pg_reload_conf() AS reloaded \gset
\set rate 5
\i test/sql/include/reloaded.sql

-- A login without rights: two connections share the count; another kind of attempt is recorded although it comes last.
\set VERBOSITY terse
\set QUIET 1
\o /dev/null
\connect - dave
SELECT format('SELECT jit_approve(%s, %L)', 900000 + i, repeat('x', 1000)) FROM generate_series(1, 12) i \gexec
\connect - dave
SELECT format('SELECT jit_approve(%s, %L)', 900000 + i, repeat('x', 1000)) FROM generate_series(13, 24) i \gexec
SELECT jit_request('hidden', '1h');
SELECT jit_request('hidden', '1h');
-- The holder of a grant, beside what the grant allows: uses are no attempts.
\connect - alice
SELECT 'SELECT * FROM secret.orders' FROM generate_series(1, 12) i \gexec
SELECT count(*) FROM app.orders;
\o
\set VERBOSITY sqlstate
\connect - alice
CALL tap.start();
SELECT is((SELECT array_agg(tap.error($$SELECT jit_cancel(jit_request('read', '1h'))$$)) FROM generate_series(2, 5)), array_fill('no error'::text, '{4}'), 'as many requests as the rate');
SELECT tap.refused($$SELECT jit_request('read', '1h')$$, 'JA009 too many requests within a minute: A login may make as many as jit_access.attempt_rate, which is 5.', 'no more, although each was withdrawn and rolled back');
SELECT tap.refused('SELECT * FROM jit_enroll_totp()', 'JA018 a second factor is enrolled only by a statement that "alice" has sent: The call is inside of something else: a function, a trigger, a DO block, a cursor, a prepared statement or another command.', 'an enrolment from code is refused anyway');
\connect - alice
SELECT jit_request('read', '1h');
SELECT * FROM jit_enroll_totp();
\connect - carol
CALL tap.start();
SELECT tap.refused('SELECT jit_approve(900000)', 'JA003 request 900000 does not exist, or you may not see it: A request is shown to its requester, the approvers of its template, auditors and administrators.', 'others are not concerned');

\connect - :owner
CALL tap.wait_until($$SELECT sum((detail ->> 'attempts')::int) FILTER (WHERE login = 'dave') >= 19 AND sum((detail ->> 'attempts')::int) FILTER (WHERE login = 'alice') >= 7
                      FROM jit_access.audit_log WHERE kind = 'attempts folded'$$);
CALL tap.wait_for_alerts();
CALL tap.start();
SELECT results_eq(format($$SELECT sqlstate, count(*) FROM jit_access.audit_log WHERE seq > %s AND kind = 'refusal' AND login = 'dave' GROUP BY 1 ORDER BY 1$$, :before),
    $$VALUES ('JA002', 1::bigint), ('JA003', 5)$$, 'refusals up to the rate, and the first of each kind');
SELECT results_eq(format($$SELECT sum((detail ->> 'attempts')::int), min(detail ->> 'from') <= max(detail ->> 'to') FROM jit_access.audit_log WHERE seq > %s AND kind = 'attempts folded' AND login = 'dave'$$, :before),
    $$VALUES (20::bigint, true)$$, 'the others are counted');
SELECT matches((SELECT string_agg(detail ->> 'reason', ', ') FROM jit_access.audit_log WHERE kind = 'attempts folded' AND login = 'dave'), 'JA003: \d+.*', 'by their kinds');
SELECT results_eq(format($$SELECT kind, count(*) FROM jit_access.audit_log WHERE seq > %s AND grant_id = %s AND (sqlstate = '42501' OR statement = 'SELECT count(*) FROM app.orders') GROUP BY 1 ORDER BY 1$$, :before, :id),
    $$VALUES ('refusal', 5::bigint), ('use', 1)$$, 'refusals under a grant, and none of its uses is lost');
SELECT matches((SELECT string_agg(detail ->> 'reason', ', ') FROM jit_access.audit_log WHERE kind = 'attempts folded' AND login = 'alice'), format('42501 of grant %s: \d+', :id), 'with the grant');
SELECT results_eq($$SELECT person, severity, grant_id, state FROM jit_access.alerts WHERE rule = 'attempt_flood' ORDER BY person$$,
    $$VALUES ('alice', 'high', NULL::bigint, 'open'), ('dave', 'high', NULL, 'open')$$, 'the alerts');
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE kind = 'attempts folded' AND login = 'carol'), 0, 'nobody else');
ALTER SYSTEM RESET jit_access.attempt_rate;
ALTER SYSTEM RESET jit_access.worker_naptime;
SELECT pg_reload_conf() AS reloaded \gset
\set rate 10000
\i test/sql/include/reloaded.sql
DROP SCHEMA secret CASCADE;
\i test/sql/include/clean.sql
