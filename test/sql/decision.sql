\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Decisions: who may decide, that a decision counts once and never for one's own request, and that it is atomic.
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{developers, bob}',
                           approvers => '{leads}') AS role \gset
SELECT jit_create_template('two_eyes_more', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}',
                           approvers => '{bob, carol, alice}', approvals_needed => 2) AS role \gset

\connect - alice
SELECT jit_request('debug_read', '2h', 'look at order 2') AS id \gset
SELECT jit_request('debug_read', '2h') AS bad_idea \gset
SELECT jit_request('debug_read', '2h') AS withdrawn \gset
SELECT jit_request('two_eyes_more', '1h') AS two \gset
SELECT jit_request('debug_read', '1h', starts_at => clock_timestamp() + interval '1 hour') AS later \gset
SELECT jit_cancel(:withdrawn) AS state \gset
\connect - bob
SELECT jit_request('debug_read', '1h') AS bobs \gset
\connect - :owner
SELECT tap.state() AS before \gset

-- Refused.
\connect - alice
CALL tap.start();
SELECT tap.refused(format('SELECT jit_approve(%s)', :id),
    format('JA006 cannot decide about your own request: Request %s is yours.', :id), 'a requester does not approve their own request');
SELECT tap.refused(format('SELECT jit_deny(%s, ''no'')', :id),
    format('JA006 cannot decide about your own request: Request %s is yours.', :id), 'nor denies it');
SELECT tap.refused(format('SELECT jit_approve(%s)', :two),
    format('JA006 cannot decide about your own request: Request %s is yours.', :two), 'not even as one of the approvers');
\connect - bob
CALL tap.start();
SELECT tap.refused(format('SELECT jit_approve(%s)', :bobs),
    format('JA006 cannot decide about your own request: Request %s is yours.', :bobs), 'an approver''s own request is a request like any other');
\connect - dave
CALL tap.start();
SELECT alike(tap.error(format('SELECT jit_approve(%s)', :id)),
    format('JA003 request %s does not exist, or you may not see it: %%', :id), 'a user who is not an approver does not decide');
SELECT alike(tap.error(format('SELECT jit_deny(%s, ''no'')', :id)),
    format('JA003 request %s does not exist, or you may not see it: %%', :id), 'neither way');
\connect - ada
CALL tap.start();
SELECT alike(tap.error(format('SELECT jit_approve(%s)', :id)),
    format('JA004 "ada" may not decide about request %s: %%', :id), 'an administrator is not an approver');
\connect - :owner
CALL tap.start();
SELECT alike(tap.error(format('SELECT jit_approve(%s)', :id)), 'JA004 %', 'a superuser is not an approver');
GRANT leads TO dave;
\connect - dave
SET ROLE leads;
RESET ROLE;
CALL tap.start();
BEGIN;
SELECT jit_approve(:id) AS state \gset
ROLLBACK;
SELECT is(:'state'::text, 'active', 'membership in a listed role is enough');
\connect - :owner
CALL tap.start();
REVOKE leads FROM dave;
SELECT is(tap.state(), :'before', 'none of this has decided anything');

-- The session user decides, not the owner of the function that calls jit_approve. Code that the server runs for the
-- owner of a table decides nothing.
CREATE SCHEMA mine AUTHORIZATION dave;
GRANT USAGE ON SCHEMA mine TO PUBLIC;
GRANT dave TO bob;
SELECT format($f$CREATE FUNCTION mine.approves() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT jit_approve(%s)::text'$f$, :id) \gexec
ALTER FUNCTION mine.approves() OWNER TO bob;
\connect - dave
SELECT format($f$CREATE FUNCTION mine.approves(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN IF session_user = 'bob' THEN PERFORM pg_catalog.jit_approve(%s); END IF; RETURN 1; END $$ $f$, :id) \gexec
CREATE TABLE mine.bait AS SELECT 1 AS id;
CREATE INDEX ON mine.bait (mine.approves(id));
CALL tap.start();
SELECT alike(tap.error('SELECT mine.approves()'), format('JA003 request %s does not exist, or you may not see it: %%', :id),
    'a function of an approver does not decide for another session user');
\connect - bob
CALL tap.start();
SELECT alike(tap.error(statement), 'JA004 requests and decisions need a client session: %', 'an approver decides nothing by ' || statement)
FROM unnest('{ANALYZE mine.bait, REINDEX TABLE mine.bait}'::text[]) AS statement;
\connect - :owner
CALL tap.start();
REVOKE dave FROM bob;
DROP SCHEMA mine CASCADE;
SELECT is(tap.state(), :'before', 'nor has this');

-- A rollback undoes a decision, at every level.
\connect - bob
BEGIN;
SELECT jit_approve(:id) AS state \gset
SELECT count(*) AS made FROM pg_roles WHERE rolname = 'jit_grant_' || :'id' \gset
ROLLBACK;
CALL tap.start();
SELECT results_eq(format($$SELECT %L::text, %s$$, :'state', :made), $$VALUES ('active', 1)$$, 'approved within a transaction');
SELECT is((SELECT count(*)::int FROM pg_roles WHERE rolname = 'jit_grant_' || :'id'), 0, 'after the rollback there is no role');
SELECT is((SELECT count(*)::int FROM jit_access.pending_requests WHERE id = :id), 1, 'and the request is pending');
BEGIN;
SAVEPOINT s;
SELECT jit_approve(:id) AS state \gset
ROLLBACK TO s;
SELECT is((SELECT count(*)::int FROM jit_access.pending_requests WHERE id = :id), 1, 'so it is after ROLLBACK TO SAVEPOINT');
COMMIT;
BEGIN;
SELECT jit_approve(:id) AS state \gset
PREPARE TRANSACTION 'approved';
SELECT is(:'SQLSTATE'::text, 'JA017', 'a decision cannot be left prepared');
SELECT is((SELECT count(*)::int FROM jit_access.pending_requests WHERE id = :id), 1, 'and is not taken');

-- Approvals.
SELECT jit_approve(:id, 'as agreed', '30 minutes') AS got \gset
SELECT is(:'got'::text, 'active', 'one approval is enough for this template');
SELECT is((SELECT count(*)::int FROM jit_access.pending_requests WHERE id = :id), 0, 'the request is not pending any more');
SELECT tap.refused(format('SELECT jit_approve(%s)', :id),
    format('JA005 request %s cannot be decided any more: It is active.', :id), 'it is not approved twice');
SELECT tap.refused(format('SELECT jit_deny(%s, ''too late'')', :id),
    format('JA005 request %s cannot be decided any more: It is active.', :id), 'nor denied after that');
\connect - carol
CALL tap.start();
SELECT tap.refused(format('SELECT jit_approve(%s)', :id),
    format('JA005 request %s cannot be decided any more: It is active.', :id), 'not by another approver either');
\connect - olga
CALL tap.start();
SELECT results_eq(
    format($$SELECT requester, template, state::text, reason, approved_by, denied_by, duration, ends_at - activated_at
             FROM jit_access.grant_history WHERE id = %s$$, :id),
    $$VALUES ('alice', 'debug_read', 'active', 'look at order 2', '{bob}'::text[], NULL::text, interval '30 minutes',
              interval '30 minutes')$$,
    'the history names the approver and the shortened time');
SELECT results_eq(
    format('SELECT approver, verdict, comment, duration, requester, template FROM jit_access.decisions WHERE id = %s', :id),
    $$VALUES ('bob', 'approve', 'as agreed', interval '30 minutes', 'alice', 'debug_read')$$, 'so does the decision');
SELECT ok(confirmed AND time_left > '0' AND time_left <= '30 minutes', 'the grant is live')
FROM jit_access.active_grants WHERE id = :id;
\connect - alice
SELECT count(*) AS seen FROM app.orders \gset
SELECT state, mode, grant_role = 'jit_grant_' || :'id' AS named, ends_at - starts_at AS time, time_left > '0' AS left
FROM jit_access.my_grants WHERE id = :id \gset
CALL tap.start();
SELECT is(:seen, 3, 'the requester can read the granted table');
SELECT results_eq(format('SELECT %L::text, %L::text, %L::boolean, %L::interval, %L::boolean', :'state', :'mode', :'named', :'time', :'left'),
                  $$VALUES ('active', 'inherit', true, interval '30 minutes', true)$$, 'and sees the grant');

-- Denials.
\connect - carol
CALL tap.start();
SELECT tap.refused(format('SELECT jit_deny(%s, NULL)', :bad_idea), 'JA001 invalid reason: It is NULL.', 'a denial has a reason');
SELECT tap.refused(format('SELECT jit_deny(%s, '' '')', :bad_idea), 'JA001 invalid reason: It is empty.', 'a real one');
SELECT is(jit_deny(:bad_idea, 'ask the data team'), 'denied', 'one denial decides');
SELECT tap.refused(format('SELECT jit_approve(%s)', :bad_idea),
    format('JA005 request %s cannot be decided any more: It is denied.', :bad_idea), 'approving comes too late');
SELECT tap.refused(format('SELECT jit_deny(%s, ''again'')', :bad_idea),
    format('JA005 request %s cannot be decided any more: It is denied.', :bad_idea), 'so does denying again');
SELECT tap.refused(format('SELECT jit_approve(%s)', :withdrawn),
    format('JA005 request %s cannot be decided any more: It is cancelled.', :withdrawn), 'a cancelled request is not approved');
SELECT tap.refused(format('SELECT jit_revoke(%s)', :bad_idea),
    format('JA005 cannot revoke request %s: It is denied.', :bad_idea), 'nor revoked');
\connect - alice
CALL tap.start();
SELECT results_eq(format('SELECT state::text, close_reason FROM jit_access.my_requests WHERE id = %s', :bad_idea),
                  $$VALUES ('denied', 'ask the data team')$$, 'the requester reads why');
SELECT tap.refused(format('SELECT jit_cancel(%s)', :bad_idea), format('JA005 cannot cancel request %s: It is denied.', :bad_idea),
                   'and cannot withdraw it any more');

-- A quorum of two approvers.
\connect - bob
CALL tap.start();
SELECT jit_approve(:two, duration => '20 minutes') AS got \gset
SELECT is(:'got'::text, 'pending', 'the first of two approvals');
SELECT jit_approve(:two);
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('"bob" has decided about request %s already', :two), 'one person counts once');
SELECT tap.refused(format('SELECT jit_deny(%s, ''changed my mind'')', :two),
    format('JA005 "bob" has decided about request %s already: One person counts once.', :two), 'a second decision of one person is refused');
SELECT is((SELECT approvals FROM jit_access.pending_requests WHERE id = :two), 1::bigint, 'approvers see that one is there');
\connect - carol
CALL tap.start();
SELECT tap.refused(format('SELECT jit_approve(%s, NULL, ''1h'')', :two),
    format('JA009 an approval cannot widen request %s: 20m was asked for.', :two), 'the next approver does not widen what one approver shortened');
SELECT jit_approve(:two) AS got \gset
SELECT is(:'got'::text, 'active', 'the second of two approvals');
\connect - olga
CALL tap.start();
SELECT results_eq(format('SELECT approved_by, duration FROM jit_access.grant_history WHERE id = %s', :two),
                  $$VALUES ('{bob,carol}'::text[], interval '20 minutes')$$, 'both are in the history');

-- A start in the future.
\connect - carol
CALL tap.start();
SELECT jit_approve(:later) AS got \gset
SELECT is(:'got'::text, 'scheduled', 'a request that starts later is scheduled');
SELECT is((SELECT count(*)::int FROM pg_roles WHERE rolname = 'jit_grant_' || :'later'), 0, 'there is no role yet');
SELECT tap.refused(format('SELECT jit_approve(%s)', :later),
    format('JA005 request %s cannot be decided any more: It is scheduled.', :later), 'it is decided');
SELECT is(jit_revoke(:later, 'not needed'), 'revoked', 'an approver takes it back before it starts');
\connect - alice
SELECT jit_request('debug_read', '1h', starts_at => clock_timestamp() + interval '1 second') AS soon \gset
\connect - bob
SELECT jit_approve(:soon) AS state \gset
\connect - :owner
CALL tap.start();
CALL tap.wait_until(format('SELECT state = ''active'' FROM jit_access.request WHERE id = %s', :soon));
SELECT ok(activated_at >= starts_at AND ends_at = activated_at + duration, 'it starts by itself, and its clock with it')
FROM jit_access.request WHERE id = :soon;

-- An approval is bound to the version of the template that was requested.
SELECT jit_alter_template('debug_read', description => 'changed') AS version \gset
\connect - carol
CALL tap.start();
SELECT tap.refused(format('SELECT jit_approve(%s)', :bobs),
    format('JA005 request %s is out of date: Template "debug_read" has changed since it was asked for.', :bobs),
    'a request made before a change of the template cannot be approved');
SELECT is(jit_deny(:bobs, 'ask again'), 'denied', 'but denied');
\i test/sql/include/clean.sql
