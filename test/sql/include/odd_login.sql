-- One case of role_names.sql: :login asks, :approver approves, and :login uses the grant.
\connect - :owner
CREATE ROLE :"login" LOGIN;
SELECT jit_alter_template('debug_read', requesters => ARRAY[:'login']) AS version \gset
\connect - :"login"
SELECT jit_request('debug_read', '1h') AS id \gset
\connect - :"approver"
SELECT requester = :'login' AS is_shown FROM jit_access.pending_requests WHERE id = :id \gset
SELECT jit_approve(:id) AS state \gset
\connect - :"login"
SELECT count(*) AS orders FROM app.orders \gset
CALL tap.start();
SELECT is(concat_ws(' ', :'is_shown', :'state', :'orders', :'description'), 't active 3 ' || :'description', :'description');
\connect - :"approver"
SELECT jit_revoke(:id) AS state \gset
\connect - :owner
CALL tap.start();
CALL tap.wait_for_cleanup();
CALL tap.wait_for_record();
SELECT is((SELECT login FROM jit_access.audit_log WHERE grant_id = :id AND statement LIKE 'SELECT count(*)%'), :'login', 'the record has the name');
SELECT is((SELECT count(*)::int FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = :'login'), 0, 'no membership is left');
