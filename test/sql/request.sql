\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Requests: who may ask for what, what a request stores, how it is cancelled.
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{developers}',
    approvers => '{bob}', max_duration => '4h') AS got \gset
SELECT is(:'got'::text, 'jit_template_debug_read', 'a template for developers');
SELECT jit_create_template('debug_default', '{USAGE ON SCHEMA app}', requesters => '{alice}', approvers => '{bob}',
    max_duration => '4h', default_duration => '90 minutes', reason_required => true,
    ticket_required => true, time_to_decide => '10 minutes') AS got \gset
SELECT is(:'got'::text, 'jit_template_debug_default', 'a template with a default duration that demands a reason and a ticket');
SELECT jit_create_template('nobody', '{USAGE ON SCHEMA app}') AS got \gset
SELECT is(:'got'::text, 'jit_template_nobody', 'a template without requesters');

\connect - alice
CALL tap.start();
SELECT jit_request('debug_read', '2h') AS id \gset
SELECT ok(:id > 0, 'an ordinary login asks and gets an id');
SELECT jit_request('debug_read', '2h') AS second \gset
SELECT cmp_ok(:second::bigint, '>', :id::bigint, 'the next request has a higher id');
SELECT is(pg_typeof(jit_request('debug_read', '1h')), 'bigint'::regtype, 'the id is a bigint');
SELECT results_eq(
    format($$SELECT template, state::text, duration, reason, ticket, scope, approvals, approvals_needed, lapses_at - requested_at
             FROM jit_access.my_requests WHERE id = %s$$, :id),
    $$VALUES ('debug_read', 'pending', interval '2h', NULL::text, NULL::text, NULL::text[], 0::bigint, 1, interval '24 hours')$$,
    'the requester sees the request');
SELECT is_empty('SELECT * FROM jit_access.my_grants', 'nothing is granted by asking');
SELECT tap.refused('SELECT * FROM app.orders', '42501', 'and nothing can be read');

SELECT jit_request(template => 'debug_default', reason => 'broken invoice 42', ticket => 'OPS-7') AS with_default \gset
SELECT results_eq(
    format($$SELECT duration, reason, ticket, lapses_at - requested_at FROM jit_access.my_requests WHERE id = %s$$, :with_default),
    $$VALUES (interval '90 minutes', 'broken invoice 42', 'OPS-7', interval '10 minutes')$$,
    'without a duration the default of the template counts');
SELECT tap.refused($$SELECT jit_request('debug_default')$$, 'JA001 invalid reason: Template "debug_default" demands one.',
                   'a reason that is required has to be given');
SELECT tap.refused($$SELECT jit_request('debug_default', reason => 'x')$$,
                   'JA001 invalid ticket: Template "debug_default" demands one.', 'so has a ticket');
SELECT tap.refused($$SELECT jit_request('debug_read')$$,
                   'JA001 invalid duration: It is NULL, and template "debug_read" has no default.', 'so has a duration');
SELECT tap.refused($$SELECT jit_request('debug_read', '4h 1s')$$,
                   'JA009 the duration is over the maximum of template "debug_read": 4h 1s was asked for; the maximum is 4h.',
                   'the maximum is a maximum');
SELECT tap.refused($$SELECT jit_request('nobody', '1h')$$,
                   'JA002 template "nobody" does not exist, or you may not use it: Names are matched exactly, and a template is shown to those whom it lists.',
                   'without requesters the template cannot be requested');
SELECT tap.refused($$SELECT jit_request('Debug_Read', '1h')$$,
                   'JA002 template "Debug_Read" does not exist, or you may not use it: Names are matched exactly, and a template is shown to those whom it lists.', 'names are matched exactly');

-- A later start.
SELECT jit_request('debug_read', '1h', starts_at => clock_timestamp() + interval '1 day') AS later \gset
SELECT ok(starts_at > clock_timestamp() + interval '23 hours', 'a start that lies ahead is remembered')
FROM jit_access.my_requests WHERE id = :later;

-- A rollback undoes a request.
BEGIN;
SELECT jit_request('debug_read', '2h', reason => 'rolled back') AS gone \gset
SELECT is(count(*)::int, 1, 'within the transaction the request exists') FROM jit_access.my_requests WHERE id = :gone;
ROLLBACK;
SELECT is(count(*)::int, 0, 'after the rollback it does not') FROM jit_access.my_requests WHERE id = :gone;

-- Cancelling.
SELECT is(jit_cancel(:id, 'found it elsewhere'), 'cancelled', 'the requester withdraws');
SELECT results_eq(format('SELECT state::text, close_reason, closed_at IS NOT NULL FROM jit_access.my_requests WHERE id = %s', :id),
                  $$VALUES ('cancelled', 'found it elsewhere', true)$$, 'and the request is closed');
SELECT tap.refused(format('SELECT jit_cancel(%s)', :id), format('JA005 cannot cancel request %s: It is cancelled.', :id),
                   'once');
SELECT is(jit_cancel(:second), 'cancelled', 'without a reason as well');

\connect - dave
CALL tap.start();
SELECT tap.refused($$SELECT jit_request('debug_read', '1h')$$,
                   'JA002 template "debug_read" does not exist, or you may not use it: Names are matched exactly, and a template is shown to those whom it lists.',
                   'a user who is not a requester may not ask');
SELECT tap.refused(format('SELECT jit_cancel(%s)', :later),
                   format('JA003 request %s does not exist, or you may not see it: A request is shown to its requester, the approvers of its template, auditors and administrators.', :later),
                   'a user cannot cancel the request of another');
\connect - bob
CALL tap.start();
SELECT tap.refused(format('SELECT jit_cancel(%s)', :later),
                   format('JA004 only the requester can cancel request %s: Another user made it.', :later),
                   'not even an approver');
\connect - :owner
CALL tap.start();
SELECT tap.refused(format('SELECT jit_cancel(%s)', :later),
                   format('JA004 only the requester can cancel request %s: Another user made it.', :later),
                   'not even a superuser');
SELECT tap.refused($$SELECT jit_request('debug_read', '1h')$$,
                   'JA004 a superuser cannot ask for access: A superuser has every privilege already, and no deadline would apply.',
                   'a superuser does not ask');

-- The identity is the session user, whatever role is set.
GRANT dave TO alice;
\connect - alice
SET ROLE dave;
SELECT jit_request('debug_read', '1h') AS as_dave \gset
RESET ROLE;
CALL tap.start();
SELECT is(count(*)::int, 1, 'SET ROLE does not change the requester') FROM jit_access.my_requests WHERE id = :as_dave;

-- A cap on open requests keeps one login from flooding the approvers' view.
\o /dev/null
SELECT jit_cancel(id) FROM jit_access.my_requests WHERE state = 'pending';
SELECT jit_request('debug_read', '1h') FROM generate_series(1, 64);
\o
SELECT tap.refused($$SELECT jit_request('debug_read', '1h')$$,
                   'JA009 too many open requests: "alice" has 64 requests that are not decided or not over.',
                   'the 65th open request is refused');
\o /dev/null
SELECT jit_cancel(id) FROM jit_access.my_requests WHERE state = 'pending';
\o
SELECT lives_ok($$SELECT jit_request('debug_read', '1h')$$, 'withdrawing makes room');

-- A request lapses undecided.
\connect - :owner
CALL tap.start();
SELECT jit_alter_template('debug_read', time_to_decide => '1 second') AS got \gset
SELECT is(:got, 2, 'one second to decide');
\connect - alice
SELECT jit_request('debug_read', '1h') AS undecided \gset
\connect - :owner
CALL tap.start();
CALL tap.wait_until(format('SELECT state = ''lapsed'' FROM jit_access.request WHERE id = %s', :undecided));
SELECT results_eq(format('SELECT close_reason, closed_by FROM jit_access.grant_history WHERE id = %s', :undecided),
                  $$VALUES ('it was not decided in time', 'jit_access')$$, 'an undecided request lapses');
\i test/sql/include/clean.sql
