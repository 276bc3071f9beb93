\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- The end of a grant removes its roles, memberships and access list entries, and nothing that stood before.
CREATE ROLE app_reader ROLE alice;
GRANT USAGE ON SCHEMA app TO app_reader, dave;
GRANT SELECT ON app.customers TO app_reader;
GRANT SELECT ON app.orders TO dave;
GRANT SELECT (id) ON app.orders TO alice;
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON app.orders, SELECT ON app.customers}', requesters => '{alice, dave}',
                           approvers => '{bob}') AS role \gset
SELECT jit_create_template('of_role', role => 'app_reader', requesters => '{alice, dave}', approvers => '{bob}') AS role \gset
SELECT jit_create_template('through_role', '{app_reader}', requesters => '{alice, dave}', approvers => '{bob}', mode => 'set_role') AS role \gset

-- All memberships, access lists and roles, as one value.
CREATE FUNCTION tap.standing() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT md5(concat_ws('|',
        (SELECT string_agg(format('%s>%s', roleid, m::text), ',' ORDER BY roleid, member) FROM pg_auth_members m),
        (SELECT string_agg(a::text, ',' ORDER BY oid) FROM pg_authid a),
        (SELECT string_agg(relacl::text, ',' ORDER BY oid) FROM pg_class WHERE relnamespace = 'app'::regnamespace),
        (SELECT string_agg(attacl::text, ',' ORDER BY attrelid, attnum) FROM pg_attribute WHERE attacl IS NOT NULL),
        (SELECT string_agg(s::text, ',' ORDER BY s::text) FROM pg_shdepend s WHERE classid <> 'pg_namespace'::regclass OR objid <> 'tap'::regnamespace)))
$$;
SELECT tap.standing() AS before \gset

-- Ended by the approver, while alice has a standing membership in the role that the templates give.
\connect - alice
SELECT jit_request('debug_read', '1h') AS a \gset
SELECT jit_request('of_role', '1h') AS b \gset
SELECT jit_request('through_role', '1h') AS c \gset
SELECT jit_request('debug_read', '1h', scope => '{app.orders}') AS d \gset
\connect - bob
SELECT jit_approve(:a) AS state_a, jit_approve(:b) AS state_b, jit_approve(:c) AS state_c, jit_approve(:d) AS state_d \gset
\connect - :owner
CALL tap.start();
SELECT isnt(tap.standing(), :'before', 'while grants are live there is more');
\connect - alice
SELECT count(*) AS orders, max(status) AS status FROM app.orders \gset
\connect - bob
CALL tap.start();
SELECT is(jit_revoke(:a, 'enough seen'), 'revoked', 'the approver revokes');
SELECT tap.refused(format('SELECT jit_revoke(%s)', :a), format('JA005 cannot revoke request %s: It is revoked.', :a), 'once');
\connect - :owner
CALL tap.start();
CALL tap.wait_for_cleanup();
SELECT is_empty(format($$SELECT 1 FROM pg_roles WHERE rolname = 'jit_grant_%s'$$, :a), 'its role is gone');
SELECT results_eq(format('SELECT state::text, closed_by, close_reason, cleanup::text FROM jit_access.grant_history WHERE id = %s', :a),
                  $$VALUES ('revoked', 'bob', 'enough seen', 'done')$$, 'the history names the user and the reason');

-- Overlapping grants are not disturbed.
\connect - alice
CALL tap.start();
SELECT lives_ok('SELECT status FROM app.orders', 'another grant on the same table is still there');
SELECT lives_ok('SELECT * FROM app.customers', 'so is another one that gives the same');
SELECT results_eq('SELECT id FROM jit_access.my_grants ORDER BY id', format('VALUES (%s::bigint), (%s), (%s)', :b, :c, :d), 'three are left');
\connect - bob
SELECT jit_revoke(:b) AS state \gset
SELECT jit_revoke(:d) AS state \gset
\connect - :owner
CALL tap.wait_for_cleanup();
\connect - alice
CALL tap.start();
SELECT tap.refused('SELECT status FROM app.orders', '42501', 'when the last one that gives a table has ended, it is refused');
SELECT lives_ok('SELECT * FROM app.customers', 'the standing membership still gives its table');
SELECT lives_ok('SELECT id FROM app.orders', 'the standing column privilege its column');
\connect - ada
CALL tap.start();
SELECT is(jit_revoke(:c, 'audit'), 'revoked', 'an administrator revokes');
\connect - :owner
CALL tap.start();
CALL tap.wait_for_cleanup();
SELECT is(tap.standing(), :'before', 'when all have ended, everything stands as before');

-- Given back by the holder; ended by the deadline; two holders of one template.
\connect - dave
SELECT jit_request('debug_read', '2 seconds') AS short \gset
SELECT jit_request('through_role', '1h') AS long \gset
\connect - alice
SELECT jit_request('through_role', '1h') AS alices \gset
\connect - bob
SELECT jit_approve(:short) AS state, jit_approve(:long) AS state_too, jit_approve(:alices) AS alices_state \gset
\connect - alice
CALL tap.start();
SELECT tap.refused(format('SELECT jit_revoke(%s)', :long),
    format('JA003 request %s does not exist, or you may not see it: A request is shown to its requester, the approvers of its template, auditors and administrators.', :long),
    'a user cannot end a grant of another holder');
SELECT is(jit_revoke(:alices, 'done early'), 'revoked', 'the holder gives back');
\connect - :owner
CALL tap.start();
CALL tap.wait_until(format('SELECT state = ''ended'' AND cleanup = ''done'' FROM jit_access.request WHERE id = %s', :short));
SELECT results_eq(
    format($$SELECT state::text, closed_by, close_reason, closed_at >= ends_at, ends_at - activated_at
             FROM jit_access.grant_history WHERE id = %s$$, :short),
    $$VALUES ('ended', 'jit_access', 'deadline reached', true, interval '2 seconds')$$, 'the deadline ends a grant by itself');
SELECT is((SELECT state FROM jit_access.request WHERE id = :long), 'active', 'and no other');
\connect - dave
CALL tap.start();
SELECT lives_ok('SELECT * FROM app.orders', 'the standing privilege of its holder is not touched');
SELECT tap.refused('SELECT * FROM app.customers', '42501', 'the privileges of the grant are gone');
SELECT tap.refused(format('SELECT jit_revoke(%s)', :short), format('JA005 cannot revoke request %s: It is ended.', :short),
                   'an ended grant cannot be revoked');
SELECT is(jit_revoke(:long), 'revoked', 'given back without a reason');
\connect - :owner
CALL tap.start();
CALL tap.wait_for_cleanup();
SELECT is(tap.standing(), :'before', 'everything stands as before');

-- The end of access is not undone by a rollback, nor the end of a savepoint. The worker writes down who revoked it.
\connect - alice
SELECT jit_request('debug_read', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
BEGIN;
SELECT jit_revoke(:id) AS state \gset
ROLLBACK;
CALL tap.start();
SELECT is(:'state'::text, 'revoked', 'revoked in a transaction');
\connect - :owner
DO $$ BEGIN WHILE EXISTS (SELECT FROM jit_access.request WHERE state = 'active' AND NOT jit_access.confirmed(id)) LOOP PERFORM pg_sleep(0.01); COMMIT; END LOOP; END $$;
CALL tap.wait_for_cleanup();
CALL tap.start();
SELECT results_eq(format('SELECT state::text, closed_by FROM jit_access.grant_history WHERE id = %s', :id), $$VALUES ('revoked', 'bob')$$,
                  'a rollback does not undo it');
SELECT is((SELECT count(*) FROM jit_access.audit_log WHERE grant_id = :id AND kind = 'revoked' AND login = 'bob'), 1::bigint, 'it is on the record once');
\connect - alice
SELECT jit_request('debug_read', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
BEGIN;
SAVEPOINT here;
SELECT jit_revoke(:id) AS state \gset
ROLLBACK TO here;
COMMIT;
\connect - alice
CALL tap.start();
SELECT throws_like('SELECT status FROM app.orders', '%', 'a rollback to a savepoint neither: access has ended');
\connect - :owner
DO $$ BEGIN WHILE EXISTS (SELECT FROM jit_access.request WHERE state = 'active' AND NOT jit_access.confirmed(id)) LOOP PERFORM pg_sleep(0.01); COMMIT; END LOOP; END $$;
CALL tap.wait_for_cleanup();
-- The holder's session that uses the grant leaves it at the commit, with what it has done; it may change its mind.
\connect - alice
SELECT jit_request('debug_read', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - alice
BEGIN;
SELECT count(*) > 0 AS used FROM app.orders \gset
SELECT jit_revoke(:id) AS state \gset
ROLLBACK;
CALL tap.start();
SELECT lives_ok('SELECT status FROM app.orders', 'a holder who uses the grant gives it back with the commit');

-- A standing membership given while a grant is live outlives it.
\connect - :owner
CREATE ROLE app_writer ROLE alice;
SELECT jit_revoke(:id) AS state \gset
CALL tap.wait_for_cleanup();
CALL tap.start();
SELECT ok(pg_has_role('alice', 'app_writer', 'MEMBER'), 'a membership granted meanwhile stays');

-- A membership granted on to the role of a grant is removed with it, for every grantor.
\connect - alice
SELECT jit_request('debug_read', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - :owner
CALL tap.start();
SELECT 'jit_grant_' || :'id' AS grant_role \gset
GRANT SELECT ON app.orders TO :grant_role;
BEGIN;
GRANT :grant_role TO dave;
GRANT :grant_role TO ada WITH ADMIN OPTION;
GRANT :grant_role TO dave GRANTED BY ada;
SELECT count(DISTINCT grantor) AS grantors FROM pg_auth_members WHERE roleid = :'grant_role'::regrole AND member = 'dave'::regrole \gset
SELECT jit_revoke(:id) AS state \gset
COMMIT;
CALL tap.wait_for_cleanup();
SELECT is_empty(format($$SELECT 1 FROM pg_roles WHERE rolname = 'jit_grant_%s'$$, :id), 'a role that was tampered with is removed all the same');
SELECT is(:grantors, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 1 ELSE 2 END, 'a membership given by two grantors included');
SELECT is_empty('SELECT 1 FROM pg_auth_members m WHERE NOT EXISTS (SELECT FROM pg_authid WHERE oid = m.roleid)', 'and nothing of it is left');
\i test/sql/include/clean.sql
DROP FUNCTION tap.standing();
DROP ROLE app_reader, app_writer;
