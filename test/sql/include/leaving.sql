-- One case of cleanup.sql: gina runs :makes under a grant that allows code and gives the grant back; the worker keeps
-- the role because it owns :what, which :why. A DBA resolves it with :mend.
\connect - gina
SELECT jit_request('codes', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - gina
SELECT 'jit_grant_' || :'id' AS grant_role \gset
SET ROLE :grant_role;
:makes;
RESET ROLE;
SELECT jit_revoke(:id) AS state \gset
\connect - :owner
CALL tap.wait_until(format('SELECT cleanup_error IS NOT NULL FROM jit_access.active_grants WHERE id = %s', :id));
CALL tap.start();
SELECT is((SELECT cleanup_error FROM jit_access.active_grants WHERE id = :id), format('"%s" owns %s, which %s and is not reassigned', :'grant_role', :'what', :'why'), :'what');
SELECT results_eq(format('SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %1$L::regrole OR roleid = %1$L::regrole', :'grant_role'), $$VALUES ('jit_marker')$$,
                  'the marker is its only membership');
SELECT tap.refused(format('DROP ROLE %I', :'grant_role'), '2BP01', 'and stays');
:mend;
CALL tap.wait_for_cleanup();
SELECT ok(to_regrole(:'grant_role') IS NULL, 'until an administrator has examined the objects it owns');
