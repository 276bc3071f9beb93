-- One case of cleanup.sql: :spoil makes the object_owner unusable while dave, who holds a grant of the template `gives`, has
-- created something. The worker reports :why, cleans up the other grants, and this one after :mend.
\connect - dave
SELECT jit_request('gives', '1h') AS id, jit_request('keeps', '1h') AS other, jit_request('gives', '1h') AS idle \gset
\connect - bob
SELECT jit_approve(:id) AS state, jit_approve(:other) AS other_state, jit_approve(:idle) AS idle_state \gset
\connect - dave
SELECT 'jit_grant_' || :'id' AS grant_role \gset
SET ROLE :grant_role;
CREATE TABLE app.t (id integer);
RESET ROLE;
\connect - :owner
:spoil;
SELECT jit_revoke(id) AS state FROM unnest(ARRAY[:id, :other, :idle]) AS id \g /dev/null
CALL tap.wait_until(format('SELECT count(*) = 2 FROM jit_access.request WHERE id IN (%s, %s) AND cleanup = ''done''', :other, :idle));
CALL tap.wait_until(format('SELECT cleanup_error IS NOT NULL FROM jit_access.active_grants WHERE id = %s', :id));
CALL tap.start();
SELECT is((SELECT cleanup_error FROM jit_access.active_grants WHERE id = :id), format('role "keeper", the new owner of objects created under the grant, %s', :'why'), :'why');
SELECT is((SELECT relowner::regrole::text FROM pg_class WHERE oid = 'app.t'::regclass), :'grant_role', 'no other role gets it');
SELECT results_eq(format('SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %1$L::regrole OR roleid = %1$L::regrole', :'grant_role'), $$VALUES ('jit_marker')$$,
                  'the memberships are gone');
\o /dev/null
:mend;
\o
CALL tap.wait_for_cleanup();
SELECT is((SELECT relowner::regrole::text FROM pg_class WHERE oid = 'app.t'::regclass), :'heir', 'mended, it is handed over');
SELECT ok(to_regrole(:'grant_role') IS NULL, 'and the role is gone');
DROP TABLE app.t;
