-- One case of cleanup.sql: gina runs :makes under a grant that allows code and gives the grant back. The worker quarantines
-- :what, which :why, and cleans up the grant. A DBA resolves it with :mend.
\connect - gina
SELECT jit_request('codes', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - gina
SELECT 'jit_grant_' || :'id' AS grant_role, 'jit_quarantine_' || :'id' AS quarantine_role \gset
SET ROLE :grant_role;
:makes;
RESET ROLE;
SELECT jit_revoke(:id) AS state \gset
\connect - :owner
CALL tap.wait_for_cleanup();
CALL tap.start();
SELECT is((SELECT jsonb_agg(jsonb_build_object('objects', objects, 'description', description)) FROM jit_access.quarantine WHERE id = :id),
          jsonb_build_array(jsonb_build_object('objects', 1, 'description', format('in database %I: %s, which %s', current_database(), :'what', :'why'))), :'what');
SELECT is((SELECT owner FROM tap.owners() WHERE object = :'what'), :'quarantine_role', 'belongs to a role of its own');
SELECT results_eq(format('SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %1$L::regrole OR roleid = %1$L::regrole', :'quarantine_role'), $$VALUES ('jit_marker')$$,
                  'whose only membership is the marker');
SELECT ok(to_regrole(:'grant_role') IS NULL, 'and keeps neither the role of the grant');
SELECT is_empty($$SELECT object FROM tap.owners() WHERE owner !~ '^(jit_quarantine_|"Odd)'$$, 'nor the rest');
:mend;
