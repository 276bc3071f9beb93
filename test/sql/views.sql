\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- The views: requesters see their own rows, approvers what they may decide, auditors everything; no view can be changed.
SELECT jit_create_template('one', '{"USAGE ON SCHEMA app", "SELECT ON app.orders"}', requesters => '{alice, bob, dave}', approvers => '{bob}',
                           description => 'first') AS role \gset
SELECT jit_create_template('two', '{"USAGE ON SCHEMA app", "SELECT ON app.customers"}', requesters => '{alice}', approvers => '{carol}') AS role \gset
\connect - alice
SELECT jit_request('one', '1h', 'first reason', 'T-1', scope => '{app.orders}') AS a1 \gset
SELECT jit_request('two', '2h', 'second reason') AS a2 \gset
SELECT jit_request('one', '3h') AS a3 \gset
\connect - dave
SELECT jit_request('one', '4h') AS d1 \gset
\connect - bob
SELECT jit_request('one', '5h') AS b1 \gset
CALL tap.start();

-- An approver decides with one row at hand.
SELECT results_eq(
    format($$SELECT requester, template, privileges, scope, mode::text, duration, starts_at, reason, ticket, lapses_at - requested_at, approvals,
                    approvals_needed FROM jit_access.pending_requests WHERE id = %s$$, :a1),
    $$VALUES ('alice', 'one', '{USAGE ON SCHEMA app,SELECT ON app.orders}'::text[], '{app.orders}'::text[], 'inherit', interval '1h',
              NULL::timestamptz, 'first reason', 'T-1', interval '24 hours', 0::bigint, 1)$$,
    'the privileges, the requester, the reason and the duration');
SELECT results_eq('SELECT id FROM jit_access.pending_requests', format('VALUES (%s::bigint), (%s), (%s)', :a1, :a3, :d1),
                  'the requests that the approver may decide: not their own, not those of other templates');
SELECT results_eq('SELECT id FROM jit_access.my_requests', format('VALUES (%s::bigint)', :b1), 'the approver''s own request is in my_requests');
\connect - carol
CALL tap.start();
SELECT results_eq('SELECT id FROM jit_access.pending_requests', format('VALUES (%s::bigint)', :a2), 'the other approver sees the other template');
\connect - :owner
CALL tap.start();
SELECT is_empty('SELECT * FROM jit_access.pending_requests', 'a superuser is not an approver');
\connect - dave
CALL tap.start();
SELECT is_empty('SELECT * FROM jit_access.pending_requests', 'neither is an ordinary login');
SELECT results_eq('SELECT id FROM jit_access.my_requests', format('VALUES (%s::bigint)', :d1), 'a requester sees their own requests only');
-- A view selects its rows before a function of the reader sees them.
\connect - dave
CREATE TEMPORARY TABLE leak (id bigint);
CREATE FUNCTION pg_temp.leak(bigint) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN INSERT INTO leak VALUES ($1); RETURN true; END $$;
SELECT count(*) AS n FROM jit_access.my_requests WHERE pg_temp.leak(id) \gset
SELECT count(*) AS n FROM jit_access.pending_requests WHERE pg_temp.leak(id) \gset
CALL tap.start();
SELECT is(ARRAY(SELECT DISTINCT id FROM leak), ARRAY[:d1]::bigint[], 'no row of others is visible to the function');

\connect - bob
SELECT jit_approve(:a1) AS state \gset
SELECT jit_approve(:d1) AS state \gset
SELECT jit_deny(:a3, 'too long') AS state \gset
\connect - :owner
CALL tap.wait_for_record();

\connect - alice
SELECT array_agg(id ORDER BY id) AS requests FROM jit_access.my_requests \gset
SELECT array_agg(id ORDER BY id) AS grants, bool_and(time_left > '0' AND time_left <= '1h') AS left FROM jit_access.my_grants \gset
CALL tap.start();
SELECT is(:'requests', format('{%s,%s,%s}', :a1, :a2, :a3)::text, 'alice sees hers');
SELECT is(:'grants' || :'left', format('{%s}t', :a1), 'and the grant with the time left');
SET ROLE NONE;
SELECT tap.refused('SELECT * FROM jit_access.' || name, '42501', 'not for everyone: ' || name)
FROM unnest('{active_grants, audit_log, decisions, grant_history, grant_usage, health, quarantine, template_catalog, decision, event, journal_position,
              record, request, template, template_person}'::text[]) WITH ORDINALITY AS v (name, n) ORDER BY n;
SELECT tap.refused('SELECT * FROM jit_access.status()', '42501', 'nor the state of the server');
SELECT tap.refused('SELECT * FROM jit_access.journal()', '42501', 'nor the journal');
SELECT tap.refused('SELECT jit_access.confirmed(1)', '42501', 'nor whether a grant is confirmed');

-- Auditors and administrators.
\connect - olga
CALL tap.start();
SELECT lives_ok('SELECT * FROM jit_access.' || name, 'the auditor reads ' || name)
FROM unnest('{active_grants, audit_log, decisions, grant_history, grant_usage, health, quarantine, template_catalog, my_requests, my_grants, pending_requests}'::text[])
     WITH ORDINALITY AS v (name, n) ORDER BY n;
SELECT lives_ok('SELECT * FROM jit_access.journal()', 'and the journal');
SELECT tap.refused('SELECT * FROM jit_access.' || name, '42501', 'but not the table ' || name)
FROM unnest('{decision, event, journal_position, record, request, template, template_person}'::text[]) WITH ORDINALITY AS v (name, n) ORDER BY n;
SELECT isnt(tap.error(statement), 'no error', statement)
FROM unnest(ARRAY['DELETE FROM jit_access.audit_log', 'UPDATE jit_access.decisions SET verdict = ''deny''', 'INSERT INTO jit_access.grant_history (id) VALUES (1)']) AS statement;
SELECT tap.refused(statement, '42501', statement)
FROM unnest(ARRAY['DELETE FROM jit_access.record', 'TRUNCATE jit_access.record', 'UPDATE jit_access.request SET state = ''active''',
                  'DROP VIEW jit_access.audit_log', 'CREATE TABLE jit_access.mine ()', 'LOCK TABLE jit_access.record']) WITH ORDINALITY AS v (statement, n) ORDER BY n;
SELECT results_eq(
    format('SELECT id, requester, template, state::text, approved_by, denied_by FROM jit_access.grant_history WHERE id BETWEEN %s AND %s ORDER BY id', :a1, :b1),
    format($$VALUES (%s::bigint, 'alice', 'one', 'active', '{bob}'::text[], NULL::text), (%s, 'alice', 'two', 'pending', NULL, NULL),
                    (%s, 'alice', 'one', 'denied', NULL, 'bob'), (%s, 'dave', 'one', 'active', '{bob}', NULL), (%s, 'bob', 'one', 'pending', NULL, NULL)$$,
           :a1, :a2, :a3, :d1, :b1), 'all requests and their states');
SELECT results_eq(
    format('SELECT id, approver, verdict, comment FROM jit_access.decisions WHERE id BETWEEN %s AND %s ORDER BY id', :a1, :b1),
    format($$VALUES (%s::bigint, 'bob', 'approve', NULL::text), (%s, 'bob', 'deny', 'too long'), (%s, 'bob', 'approve', NULL)$$, :a1, :a3, :d1),
    'every decision');
SELECT results_eq('SELECT id, grant_role, confirmed, cleanup::text FROM jit_access.active_grants ORDER BY id',
    format($$VALUES (%s::bigint, 'jit_grant_%s', true, 'none'), (%s, 'jit_grant_%s', true, 'none')$$, :a1, :a1, :d1, :d1), 'the live grants');
SELECT results_eq('SELECT name, description, requesters, approvers FROM jit_access.template_catalog ORDER BY name',
    $$VALUES ('one', 'first', '{alice,bob,dave}'::text[], '{bob}'::text[]), ('two', NULL, '{alice}', '{carol}')$$, 'the templates');
SELECT results_eq('SELECT worker_pid IS NOT NULL, live_grants, cleanups_due, cleanups_failing, journal_refusals FROM jit_access.health',
    'VALUES (true, 2::bigint, 0::bigint, 0::bigint, 0::bigint)', 'whether all is well');
SELECT tap.refused($$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}')$$, '42501', 'an auditor makes no template');
SELECT alike(tap.error(format('SELECT jit_approve(%s)', :a2)), 'JA004 %', 'decides nothing');
SELECT alike(tap.error(format('SELECT jit_revoke(%s)', :a1)), 'JA004 %', 'and ends nothing');
\connect - ada
CALL tap.start();
SELECT lives_ok('SELECT * FROM jit_access.' || name, 'the administrator reads ' || name)
FROM unnest('{active_grants, audit_log, decisions, grant_history, grant_usage, health, quarantine, template_catalog}'::text[]) WITH ORDINALITY AS v (name, n) ORDER BY n;
SELECT tap.refused('UPDATE jit_access.request SET state = ''active''', '42501', 'and changes no table either');
\i test/sql/include/clean.sql
